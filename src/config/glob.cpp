#include "config/glob.h"

#include <string>

namespace waybill::config {
namespace {

// Runs of wildcards that mean the same are written one way: the `?` first, then at most one `*`.
std::string normalised(std::string_view pattern) {
    std::string out;
    for (size_t i = 0; i < pattern.size();) {
        bool star = false;
        for (; i < pattern.size() && (pattern[i] == '*' || pattern[i] == '?'); ++i) {
            if (pattern[i] == '*') star = true;
            else out.push_back('?');
        }
        if (star) out.push_back('*');
        for (; i < pattern.size() && pattern[i] != '*' && pattern[i] != '?'; ++i) out.push_back(pattern[i]);
    }
    return out;
}

// The usual two-pointer walk: on a mismatch, let the last `*` take one character more.
template <class Same>
bool walk(std::string_view pattern, std::string_view text, Same same) {
    size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && same(pattern[p], text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
    return walk(pattern, text, [](char p, char t) { return p == '?' || p == t; });
}

bool glob_covers(std::string_view wide, std::string_view narrow) {
    // The narrow pattern is read as a text whose `?` only a wildcard, and whose `*` only a `*`, can stand for.
    return walk(normalised(wide), normalised(narrow), [](char p, char t) { return t != '*' && (p == '?' || p == t); });
}

}  // namespace waybill::config
