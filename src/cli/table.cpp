#include "cli/table.h"

#include <algorithm>

#include "base/assert.h"

namespace waybill::cli {

void Table::row(std::vector<Cell> cells) {
    ASSERT(cells.size() == columns_.size());
    rows_.push_back(std::move(cells));
}

std::string Table::render(const Terminal& terminal) const {
    if (rows_.empty()) return "";
    constexpr int gap = 2;
    size_t n = columns_.size();
    std::vector<int> width(n);
    for (size_t c = 0; c < n; ++c) {
        width[c] = display_width(columns_[c].title);
        for (const auto& row : rows_) width[c] = std::max(width[c], display_width(row[c].line));
    }
    if (terminal.width > 0) {
        int total = gap * static_cast<int>(n - 1);
        for (int w : width) total += w;
        while (total > terminal.width) {
            size_t widest = n;
            for (size_t c = 0; c < n; ++c) {
                if (columns_[c].least > 0 && width[c] > columns_[c].least && (widest == n || width[c] > width[widest])) widest = c;
            }
            if (widest == n) break;
            --width[widest];
            --total;
        }
    }
    std::string out;
    auto put = [&](const std::vector<const Line*>& cells) {
        Line line;
        for (size_t c = 0; c < n; ++c) {
            Line cell = truncate(*cells[c], width[c]);
            std::string padding(static_cast<size_t>(width[c] - display_width(cell)), ' ');
            if (columns_[c].right && !padding.empty()) line.push_back({padding});
            line.insert(line.end(), cell.begin(), cell.end());
            if (c + 1 == n) break;
            if (!columns_[c].right) line.push_back({padding});
            line.push_back({std::string(gap, ' ')});
        }
        while (!line.empty() && line.back().text.find_first_not_of(' ') == std::string::npos) line.pop_back();
        // Even the least widths may be too much for a narrow terminal.
        if (terminal.width > 0) line = truncate(line, terminal.width);
        out += paint(line, terminal.color);
        out += '\n';
    };
    std::vector<Line> titles;
    for (const Column& column : columns_) titles.push_back({{column.title, Style::dim}});
    std::vector<const Line*> cells(n);
    for (size_t c = 0; c < n; ++c) cells[c] = &titles[c];
    put(cells);
    for (const auto& row : rows_) {
        for (size_t c = 0; c < n; ++c) cells[c] = &row[c].line;
        put(cells);
    }
    return out;
}

}  // namespace waybill::cli
