#include "cli/session.h"

#include <fmt/format.h>

namespace waybill::cli {

int complain(const Error& error, ColorMode color) {
    std::fflush(stdout);
    fmt::print(stderr, "{} {}\n", paint(Style::red, "waybill:", look(stderr, color).color), error.message);
    return exit_code(error);
}

void warn(std::string_view text, ColorMode color) {
    std::fflush(stdout);
    fmt::print(stderr, "{} {}\n", paint(Style::yellow, "waybill:", look(stderr, color).color), text);
}

bool print(std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

int Session::print_json(const Answer& answer) {
    print(simdjson::minify(answer.root) + "\n");
    return exit_ok;
}

std::string query(const std::vector<std::pair<std::string_view, std::string>>& parts) {
    std::string out;
    for (const auto& [name, value] : parts) {
        if (value.empty()) continue;
        out += out.empty() ? '?' : '&';
        out += name;
        out += '=';
        out += Client::escape(value);
    }
    return out;
}

}  // namespace waybill::cli
