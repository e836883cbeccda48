#include "patterns/pattern.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "base/json_writer.h"
#include "patterns/comparison.h"
#include "patterns/json_reader.h"

namespace waybill::patterns {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::string_view too_complex =
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character";
constexpr std::string_view one_key = "Only one key allowed in match expression";

// Names that a field inside `$or` may not have: EventBridge keeps them for match types of today and of later.
constexpr std::string_view reserved_in_or[] = {
    "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr", "=", "<", "<=", ">", ">=",
    "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
    "ip-address-in-range", "ip-address-not-in-range",
};

// Why a wildcard's text is none, or nothing. Positions count bytes from the quote before the text, as EventBridge does.
std::optional<std::string> wildcard_fault(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '*' && i + 1 < text.size() && text[i + 1] == '*') return fmt::format("Consecutive wildcard characters at pos {}", i + 1);
        if (text[i] != '\\') continue;
        if (i + 1 == text.size() || (text[i + 1] != '*' && text[i + 1] != '\\')) return fmt::format("Invalid escape character at pos {}", i + 1);
        ++i;
    }
    return {};
}

// How many partial matches of the wildcards a worst value can hold open at once, as the set of states that a nondeterministic automaton of them is
// in: each state counts once, and once more where a star that comes next has not been entered. Sets are visited breadth first.
class WildcardComplexity {
public:
    explicit WildcardComplexity(const std::vector<std::string_view>& wildcards) {
        std::set<uint16_t> letters;
        std::vector<uint32_t> start;
        for (std::string_view wildcard : wildcards) {
            start.push_back(static_cast<uint32_t>(tokens_.size()));
            for (size_t i = 0; i < wildcard.size(); ++i) {
                if (wildcard[i] == '*') {
                    tokens_.push_back(star);
                    continue;
                }
                if (wildcard[i] == '\\') ++i;
                tokens_.push_back(static_cast<unsigned char>(wildcard[i]));
                letters.insert(tokens_.back());
            }
            tokens_.push_back('"');
            letters.insert('"');
            tokens_.push_back(done);
        }
        letters_.assign(letters.begin(), letters.end());
        letters_.push_back(other);
        start_ = std::move(start);
    }

    // At most limit + 1; that too when more than `sets` sets would have to be looked at.
    size_t measure(size_t limit, size_t sets) const {
        std::set<std::vector<uint32_t>> seen{start_};
        std::vector<std::vector<uint32_t>> open{start_};
        size_t most = 0;
        while (!open.empty()) {
            const std::vector<uint32_t> from = std::move(open.back());
            open.pop_back();
            for (uint16_t letter : letters_) {
                std::vector<uint32_t> to = step(from, letter);
                if (to.empty()) continue;
                most = std::max(most, weight(to));
                if (most > limit || seen.size() > sets) return limit + 1;
                if (seen.insert(to).second) open.push_back(std::move(to));
            }
        }
        return most;
    }

private:
    static constexpr uint16_t star = 256, done = 257, other = 258;

    // A state is the index of the token that comes next; inside a star it is the star's index with `inside` set.
    static constexpr uint32_t inside = 1u << 31;

    std::vector<uint32_t> step(const std::vector<uint32_t>& from, uint16_t letter) const {
        std::vector<uint32_t> to;
        for (uint32_t state : from) {
            const uint32_t at = state & ~inside;
            if (tokens_[at] == star) {
                to.push_back(at | inside);
                if (tokens_[at + 1] == letter) to.push_back(at + 2);
            } else if (tokens_[at] == letter) {
                to.push_back(at + 1);
            }
        }
        std::ranges::sort(to);
        to.erase(std::ranges::unique(to).begin(), to.end());
        return to;
    }

    size_t weight(const std::vector<uint32_t>& set) const {
        size_t sum = 0;
        for (uint32_t state : set) {
            const bool enters = !(state & inside) && tokens_[state] == star && !std::ranges::binary_search(set, state | inside);
            sum += 1 + enters;
        }
        return sum;
    }

    std::vector<uint16_t> tokens_, letters_;
    std::vector<uint32_t> start_;
};

// Reads the pattern in the order EventBridge reads it, so that of several faults the same one is named.
class Parser {
public:
    Parser(std::string_view json, const PatternLimits& limits) : reader_(json, limits.depth), limits_(limits) {}

    Result<Pattern> parse() {
        const bool read = reader_.next() == Token::object_start ? object(nullptr, false) : fail("Filter is not an object");
        if (!read || reader_.next() != Token::end) return invalid(reader_.error().empty() ? error_ : reader_.error());
        if (reader_.lone_surrogate()) return invalid("A surrogate escape in a string must be one of a pair");
        return finish();
    }

private:
    // (path id, clause), sorted by path id: one conjunction while it is read.
    using Branch = std::vector<std::pair<uint32_t, uint32_t>>;

    bool fail(std::string message) {
        if (error_.empty()) error_ = std::move(message);
        return false;
    }
    bool fail(std::string_view message) { return fail(std::string(message)); }
    bool fail(const char* message) { return fail(std::string(message)); }

    // `parent` is the path of the object, or nothing for the pattern itself.
    bool object(const std::string* parent, bool in_or) {
        bool any = false;
        for (Token token = reader_.next(); token != Token::object_end; token = reader_.next()) {
            if (token != Token::key) return fail("");
            any = true;
            const std::string name = reader_.text();
            if (name == "$or") {
                if (!alternatives(parent)) return false;
                continue;
            }
            if (in_or && std::ranges::find(reserved_in_or, name) != std::end(reserved_in_or))
                return fail(fmt::format("{} is Ruler reserved fieldName which cannot be used inside $or.", name));
            const std::string path = parent ? *parent + "." + name : name;
            token = reader_.next();
            if (token == Token::object_start) {
                if (!object(&path, in_or)) return false;
            } else if (token == Token::array_start) {
                if (!clause(path)) return false;
            } else {
                return fail(fmt::format("\"{}\" must be an object or an array", name));
            }
        }
        return any || fail("Empty objects are not allowed");
    }

    // `$or`: every conjunction so far goes on once for each object of the array.
    bool alternatives(const std::string* parent) {
        const std::vector<Branch> before = std::move(branches_);
        std::vector<Branch> all;
        size_t objects = 0;
        if (reader_.next() != Token::array_start) return fail("It must be an Array followed with $or.");
        for (Token token = reader_.next(); token != Token::array_end; token = reader_.next()) {
            ++objects;
            if (token != Token::object_start) return fail("Only JSON object is allowed in array of $or relationship.");
            branches_ = before;
            if (branches_.empty()) branches_.emplace_back();
            if (!object(parent, true)) return false;
            all.insert(all.end(), std::make_move_iterator(branches_.begin()), std::make_move_iterator(branches_.end()));
            branches_ = std::move(all);
            if (!branches_fit()) return false;
            all = std::move(branches_);
        }
        branches_ = std::move(all);
        return objects >= 2 || fail("There must have at least 2 Objects in $or relationship.");
    }

    bool branches_fit() {
        size_t uses = 0;
        for (const Branch& branch : branches_) uses += branch.size();
        if (branches_.size() > limits_.branches) return fail(fmt::format("Rule is too complex - its $or make more than {} combinations", limits_.branches));
        if (uses > limits_.clause_uses) return fail(fmt::format("Rule is too complex - the combinations of its $or have more than {} fields", limits_.clause_uses));
        return true;
    }

    // "path": [ … ]; the array has been opened. A path that a conjunction has already is replaced: the last one counts.
    bool clause(const std::string& path) {
        Clause clause{path, {}};
        for (Token token = reader_.next(); token != Token::array_end; token = reader_.next()) {
            Test& test = clause.tests.emplace_back();
            test.text = reader_.text();
            switch (token) {
                case Token::object_start:
                    if (!expression(test)) return false;
                    break;
                case Token::text: test.kind = TestKind::text; break;
                case Token::number:
                    test.kind = TestKind::number;
                    test.number = to_decimal(test.text);
                    break;
                case Token::literal_true:
                case Token::literal_false:
                case Token::literal_null: test.kind = TestKind::literal; break;
                default: return fail("Match value must be String, number, true, false, or null");
            }
        }
        if (clause.tests.empty()) return fail("Empty arrays are not allowed");
        if (!complexity_fits(clause)) return fail(too_complex);

        const auto at = static_cast<uint32_t>(clauses_.size());
        const uint32_t path_id = path_ids_.emplace(path, static_cast<uint32_t>(path_ids_.size())).first->second;
        clauses_.push_back(std::move(clause));
        if (branches_.empty()) branches_.emplace_back();
        for (Branch& branch : branches_) {
            const auto place = std::ranges::lower_bound(branch, path_id, {}, &Branch::value_type::first);
            if (place != branch.end() && place->first == path_id) place->second = at;
            else branch.insert(place, {path_id, at});
            if (branch.size() > limits_.clauses_a_branch) return fail(fmt::format("Rule is too complex - it has more than {} fields", limits_.clauses_a_branch));
        }
        return branches_fit();
    }

    // {"prefix": …} and its like; the object has been opened.
    bool expression(Test& test) {
        if (reader_.next() != Token::key) return fail("Match expression name not found");
        const std::string name = reader_.text();
        if (name == "exactly") return text(test, TestKind::text, "exact match pattern must be a string", reader_.next()) && closed();
        if (name == "prefix" || name == "suffix") {
            const bool prefix = name == "prefix";
            const Token token = reader_.next();
            if (token == Token::object_start) return ignoring_case(test, prefix);
            return text(test, prefix ? TestKind::prefix : TestKind::suffix,
                        prefix ? "prefix match pattern must be a string" : "suffix match pattern must be a string", token) && closed();
        }
        if (name == "numeric") return numeric(test);
        if (name == "anything-but") return anything_but(test);
        if (name == "exists") {
            const Token token = reader_.next();
            if (token != Token::literal_true && token != Token::literal_false) return fail("exists match pattern must be either true or false.");
            test.kind = token == Token::literal_true ? TestKind::exists : TestKind::absent;
            return closed();
        }
        if (name == "cidr") return cidr(test) && closed();
        if (name == "equals-ignore-case")
            return text(test, TestKind::text_ignoring_case, "equals-ignore-case match pattern must be a string", reader_.next()) && closed();
        if (name == "wildcard") {
            if (!text(test, TestKind::wildcard, "wildcard match pattern must be a string", reader_.next())) return false;
            if (auto why = wildcard_fault(test.text)) return fail(std::move(*why));
            return closed();
        }
        return fail("Unrecognized match type " + name);
    }

    bool closed() { return reader_.next() == Token::object_end || fail(one_key); }

    bool text(Test& test, TestKind kind, std::string_view otherwise, Token token) {
        if (token != Token::text) return fail(otherwise);
        test.kind = kind;
        test.text = reader_.text();
        return true;
    }

    bool ignoring_case(Test& test, bool prefix) {
        if (reader_.next() != Token::key) return fail(prefix ? "Prefix expression name not found" : "Suffix expression name not found");
        const std::string name = reader_.text();
        if (name != "equals-ignore-case") return fail(fmt::format("Unsupported {} pattern: {}", prefix ? "prefix" : "suffix", name));
        return text(test, prefix ? TestKind::prefix_ignoring_case : TestKind::suffix_ignoring_case,
                    "equals-ignore-case match pattern must be a string", reader_.next()) && closed() && closed();
    }

    bool anything_but(Test& test) {
        test.kind = TestKind::anything_but;
        test.text.clear();
        TestKind kind = TestKind::text;  // of what is excluded; text stands for "strings or numbers" here
        Token token = reader_.next();
        if (token == Token::object_start) {
            if (reader_.next() != Token::key) return fail("Anything-But expression name not found");
            const std::string& name = reader_.text();
            if (name == "equals-ignore-case") kind = TestKind::text_ignoring_case;
            else if (name == "prefix") kind = TestKind::prefix;
            else if (name == "suffix") kind = TestKind::suffix;
            else if (name == "wildcard") kind = TestKind::wildcard;
            else return fail("Unsupported anything-but pattern: " + name);
            token = reader_.next();
        }
        const bool list = token == Token::array_start;
        if (!list && token != Token::text && token != Token::number)
            return fail("Value of anything-but must be an array or single string/number value.");
        if (list) {
            for (token = reader_.next(); token != Token::array_end; token = reader_.next()) {
                if (!excluded(token, kind, test)) return false;
            }
            if (kind == TestKind::text && (test.but.empty() || std::ranges::any_of(test.but, [&](const Test& t) { return t.kind != test.but[0].kind; })))
                return fail("Inside anything but list, either all values are number or string, mixed type is not supported");
        } else if (!excluded(token, kind, test)) {
            return false;
        }
        for (const Test& but : test.but) {
            if (but.kind != TestKind::wildcard) continue;
            if (auto why = wildcard_fault(but.text)) return fail(std::move(*why));
        }
        const bool nested = kind != TestKind::text;
        if (reader_.next() != Token::object_end || (nested && reader_.next() != Token::object_end)) return fail("Too many elements in numeric expression");
        return true;
    }

    // One value that anything-but excludes.
    bool excluded(Token token, TestKind kind, Test& test) {
        if (kind == TestKind::text && token == Token::number) {
            Test& but = test.but.emplace_back();
            but.kind = TestKind::number;
            but.text = reader_.text();
            but.number = to_decimal(but.text);
            return true;
        }
        if (token != Token::text) {
            if (kind == TestKind::text) return fail("Inside anything but list, start|null|boolean is not supported.");
            if (kind == TestKind::text_ignoring_case) return fail("Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.");
            if (kind == TestKind::wildcard) return fail("wildcard match pattern must be a string");
            return fail("prefix/suffix match pattern must be a string");
        }
        if ((kind == TestKind::prefix || kind == TestKind::suffix) && reader_.text().empty()) return fail("Null prefix/suffix not allowed");
        Test& but = test.but.emplace_back();
        but.kind = kind;
        but.text = reader_.text();
        return true;
    }

    bool numeric(Test& test) {
        test.kind = TestKind::numeric;
        test.text.clear();
        test.range = {-infinity, infinity, false, false};
        if (reader_.next() != Token::array_start) return fail("Value of numeric must be an array.");
        if (reader_.next() != Token::text) return fail("Invalid member in numeric match: " + reader_.text());
        const std::string sign = reader_.text();
        double value = 0;
        Token token = reader_.next();
        if (sign == "=" || sign == "<=" || sign == "<") {
            if (!number(token, sign == "=" ? "equals" : sign, value)) return false;
            test.range = {sign == "=" ? value : -infinity, value, false, sign == "<"};
            if (reader_.next() != Token::array_end) return fail("Too many elements in numeric expression");
        } else if (sign == ">=" || sign == ">") {
            if (!number(token, sign, value)) return false;
            test.range = {value, infinity, sign == ">", false};
            token = reader_.next();
            if (token != Token::array_end && !upper_bound(token, test)) return false;
        } else {
            return fail("Unrecognized numeric range operator: " + sign);
        }
        return reader_.next() == Token::object_end || fail("Too many elements in numeric expression");
    }

    bool upper_bound(Token token, Test& test) {
        if (token != Token::text) return fail("Bad value in numeric range: " + reader_.text());
        const std::string sign = reader_.text();
        if (sign != "<" && sign != "<=") return fail("Bad numeric range operator: " + sign);
        if (!number(reader_.next(), sign, test.range.high)) return false;
        test.range.high_open = sign == "<";
        if (reader_.next() != Token::array_end) return fail("Too many terms in numeric range expression");
        return test.range.low < test.range.high || fail("Bottom must be less than top");
    }

    bool number(Token token, std::string_view name, double& to) {
        if (token != Token::number) return fail(fmt::format("Value of {} must be numeric", name));
        to = to_double(reader_.text());
        return std::isfinite(to) || fail("Cannot compare number : " + reader_.text());
    }

    bool cidr(Test& test) {
        if (!text(test, TestKind::cidr, "prefix match pattern must be a string", reader_.next())) return false;
        // As Java splits at "/": what is empty behind the last slash is no part.
        std::string_view whole = test.text;
        while (whole.ends_with('/')) whole.remove_suffix(1);
        if (std::ranges::count(whole, '/') != 1) return fail("Malformed CIDR, one '/' required");
        const size_t slash = whole.find('/');
        const std::string ip(whole.substr(0, slash));
        std::string_view mask = whole.substr(slash + 1);
        if (mask.starts_with('+')) mask.remove_prefix(1);
        int bits = -1;
        const auto [end, error] = std::from_chars(mask.data(), mask.data() + mask.size(), bits);
        if (error != std::errc() || end != mask.data() + mask.size()) return fail("Malformed CIDR, mask bits must be an integer");
        if (bits < 0) return fail("Malformed CIDR, mask bits must not be negative");
        const auto address = parse_address(ip);
        if (!address) return fail((looks_like_address(ip) ? "Invalid IP address: " : "Nonstandard IP address: ") + ip);
        if (!address->v6 && bits > 31) return fail("IPv4 mask bits must be < 32");
        if (address->v6 && bits > 127) return fail("IPv6 mask bits must be < 128");
        test.network.v6 = address->v6;
        test.network.bits = static_cast<uint8_t>(bits);
        std::copy_n(address->bytes, 16, test.network.address.begin());
        clear_host_bits(test.network);
        return true;
    }

    bool complexity_fits(const Clause& clause) const {
        std::vector<std::string_view> wildcards;
        const auto add = [&](const Test& test) {
            if (test.kind == TestKind::wildcard) wildcards.push_back(test.text);
        };
        for (const Test& test : clause.tests) {
            add(test);
            std::ranges::for_each(test.but, add);
        }
        if (wildcards.empty()) return true;
        return WildcardComplexity(wildcards).measure(limits_.wildcard_complexity, limits_.wildcard_states) <= limits_.wildcard_complexity;
    }

    // Leaves out clauses that a later one replaced everywhere, and orders each conjunction by path.
    Pattern finish() {
        Pattern pattern;
        std::vector<uint32_t> kept(clauses_.size(), UINT32_MAX);
        for (const Branch& branch : branches_) {
            std::vector<uint32_t>& out = pattern.branches.emplace_back();
            for (const auto& [path, at] : branch) {
                if (kept[at] == UINT32_MAX) {
                    kept[at] = static_cast<uint32_t>(pattern.clauses.size());
                    pattern.clauses.push_back(std::move(clauses_[at]));
                }
                out.push_back(kept[at]);
            }
        }
        for (std::vector<uint32_t>& branch : pattern.branches)
            std::ranges::sort(branch, {}, [&](uint32_t at) -> const std::string& { return pattern.clauses[at].path; });
        return pattern;
    }

    JsonReader reader_;
    const PatternLimits& limits_;
    std::string error_;
    std::vector<Branch> branches_;
    std::vector<Clause> clauses_;
    std::map<std::string, uint32_t, std::less<>> path_ids_;
};

std::string json_text(std::string_view text) {
    std::string out;
    JsonWriter::quote_into(out, text);
    return out;
}

std::string number_text(double v) {
    char buffer[32];
    return {buffer, std::to_chars(buffer, buffer + sizeof buffer, v).ptr};
}

std::string_view operator_name(TestKind kind) {
    switch (kind) {
        case TestKind::prefix:
        case TestKind::prefix_ignoring_case: return "prefix";
        case TestKind::suffix:
        case TestKind::suffix_ignoring_case: return "suffix";
        case TestKind::text_ignoring_case: return "equals-ignore-case";
        case TestKind::wildcard: return "wildcard";
        case TestKind::cidr: return "cidr";
        case TestKind::numeric: return "numeric";
        case TestKind::exists:
        case TestKind::absent: return "exists";
        case TestKind::anything_but: return "anything-but";
        case TestKind::text:
        case TestKind::number:
        case TestKind::literal: return "exactly";
    }
    return "";
}

std::string range_json(const NumberRange& range) {
    if (range.low == range.high) return fmt::format("[\"=\",{}]", number_text(range.low));
    std::string out = "[";
    if (range.low != -infinity) out += fmt::format("\"{}\",{}", range.low_open ? ">" : ">=", number_text(range.low));
    if (range.high != infinity) out += fmt::format("{}\"{}\",{}", out.size() > 1 ? "," : "", range.high_open ? "<" : "<=", number_text(range.high));
    return out + "]";
}

std::string list_json(const std::vector<Test>& tests, bool bare) {
    std::string out;
    for (const Test& test : tests) {
        if (!out.empty()) out += ',';
        out += bare ? json_text(test.text) : to_json(test);
    }
    return "[" + out + "]";
}

}  // namespace

Result<Pattern> parse_pattern(std::string_view json, const PatternLimits& limits) {
    if (json.size() > limits.bytes) return invalid(fmt::format("The pattern has {} bytes; at most {} are allowed", json.size(), limits.bytes));
    if (!simdjson::validate_utf8(json.data(), json.size())) return invalid("The pattern is not UTF-8");
    return Parser(json, limits).parse();
}

std::string to_json(const Test& test) {
    switch (test.kind) {
        case TestKind::text: return json_text(test.text);
        case TestKind::number:
        case TestKind::literal: return test.text;
        case TestKind::prefix_ignoring_case:
        case TestKind::suffix_ignoring_case:
            return fmt::format("{{\"{}\":{{\"equals-ignore-case\":{}}}}}", operator_name(test.kind), json_text(test.text));
        case TestKind::prefix:
        case TestKind::suffix:
        case TestKind::text_ignoring_case:
        case TestKind::wildcard:
        case TestKind::cidr: return fmt::format("{{\"{}\":{}}}", operator_name(test.kind), json_text(test.text));
        case TestKind::numeric: return fmt::format("{{\"numeric\":{}}}", range_json(test.range));
        case TestKind::exists: return "{\"exists\":true}";
        case TestKind::absent: return "{\"exists\":false}";
        case TestKind::anything_but: {
            const TestKind kind = test.but.empty() ? TestKind::text_ignoring_case : test.but[0].kind;
            if (kind == TestKind::text || kind == TestKind::number) return fmt::format("{{\"anything-but\":{}}}", list_json(test.but, false));
            return fmt::format("{{\"anything-but\":{{\"{}\":{}}}}}", operator_name(kind), list_json(test.but, true));
        }
    }
    return {};
}

std::string to_json(const Clause& clause) { return list_json(clause.tests, false); }

std::string to_text(const Pattern& pattern) {
    std::string out;
    for (size_t i = 0; i < pattern.branches.size(); ++i) {
        if (pattern.branches.size() > 1) out += fmt::format("{} of {}:\n", i + 1, pattern.branches.size());
        for (uint32_t at : pattern.branches[i])
            out += fmt::format("{}{}: {}\n", pattern.branches.size() > 1 ? "  " : "", pattern.clauses[at].path, to_json(pattern.clauses[at]));
    }
    return out;
}

}  // namespace waybill::patterns
