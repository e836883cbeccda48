// A table for people. On a terminal it is cut to the terminal's width: the widest of the columns that may shrink give way first, and
// what does not fit ends in "…". Piped, it is plain text with every cell whole. Cells are cleaned of control characters as they come in.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace waybill::cli {

struct Column {
    std::string title;
    bool right = false;  // numbers
    int least = 0;       // may shrink to this many columns; 0: never shrinks
};

struct Cell {
    Line line;
    Cell(const char* text, Style style = Style::plain) : Cell(std::string_view(text), style) {}
    Cell(std::string_view text, Style style = Style::plain) : line{{clean(text), style}} {}
    Cell(const std::string& text, Style style = Style::plain) : Cell(std::string_view(text), style) {}
    Cell(Line spans) : line(std::move(spans)) {}  // already clean
};

class Table {
public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    void row(std::vector<Cell> cells);  // as many cells as columns
    size_t size() const { return rows_.size(); }
    // Lines with their newlines; nothing at all, not even titles, for a table without rows.
    std::string render(const Terminal& terminal) const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

}  // namespace waybill::cli
