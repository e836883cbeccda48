// How fast the matcher is beside what limits it: simdjson reading the same events in the same run on the same core.
//
//   patterns_bench [DATA [SECONDS_EACH [NAME]]]     only sets whose names contain NAME
//
// DATA is a folder with citylots.jsonl (213,068 GeoJSON events), rulesets.json (rule sets and the matches each rule must have) and rules_*.jsonl. Every count is checked; one that is
// wrong ends with status 1. Without DATA the program makes smaller data of the same shape and takes the counts of a plain comparison as right.
// Each row is the best of several passes over all events, with the limit's passes in between, so that a machine that is busy for a while is busy for both.
#include <fmt/format.h>
#include <malloc.h>
#include <simdjson.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "patterns/explain.h"
#include "patterns/matcher.h"
#include "patterns/scan.h"

namespace {

using namespace waybill;
using namespace waybill::patterns;

constexpr size_t a_request = 64;  // events that are matched by one call
double seconds_each = 0.7;
int wrong = 0;

struct Events {
    simdjson::padded_string text;
    std::vector<std::string_view> lines;
};

struct Set {
    std::string name;
    std::vector<std::string> patterns;
    std::vector<int64_t> expected;   // of each pattern; one entry for their sum
    enum { one_field, coordinates } limit = one_field;
};

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) {
        fmt::print(stderr, "cannot read {}\n", path);
        std::exit(2);
    }
    return {std::istreambuf_iterator<char>(in), {}};
}

Events cut(const std::string& text) {
    Events events{simdjson::padded_string(text), {}};
    std::string_view rest(events.text);
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        if (end > 0) events.lines.push_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return events;
}

// Of this thread's own time: others on the machine take none of it, though they take memory bandwidth.
double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double time_of(const std::function<void()>& pass) {
    const double begin = now();
    pass();
    return now() - begin;
}

// The best seconds of a pass of each, taken in turns.
std::pair<double, double> race(const std::function<void()>& ours, const std::function<void()>& limit) {
    double best_ours = 1e9, best_limit = 1e9, spent = 0;
    for (int pass = 0; pass < 3 || spent < 2 * seconds_each; ++pass) {
        const double a = time_of(ours), b = time_of(limit);
        best_ours = std::min(best_ours, a);
        best_limit = std::min(best_limit, b);
        spent += a + b;
    }
    return {best_ours, best_limit};
}

volatile size_t sink;

void on_demand_one_field(const Events& events) {
    static simdjson::ondemand::parser parser;
    size_t sum = 0;
    const size_t end = events.text.size() + simdjson::SIMDJSON_PADDING;
    for (std::string_view line : events.lines) {
        auto document = parser.iterate(line.data(), line.size(), end - static_cast<size_t>(line.data() - events.text.data()));
        std::string_view value;
        if (document["properties"]["MAPBLKLOT"].get(value) == simdjson::SUCCESS) sum += value.size();
    }
    sink = sum;
}

size_t xs_below(simdjson::ondemand::array array, double& sum) {
    size_t count = 0;
    for (auto element : array) {
        simdjson::ondemand::value value;
        if (element.get(value) != simdjson::SUCCESS) break;
        simdjson::ondemand::json_type type;
        if (value.type().get(type) != simdjson::SUCCESS) break;
        if (type == simdjson::ondemand::json_type::array) {
            count += xs_below(value.get_array().value(), sum);
        } else {
            double x = 0;
            if (value["x"].get(x) == simdjson::SUCCESS) sum += x;
            ++count;
        }
    }
    return count;
}

void on_demand_coordinates(const Events& events) {
    static simdjson::ondemand::parser parser;
    double sum = 0;
    size_t count = 0;
    const size_t end = events.text.size() + simdjson::SIMDJSON_PADDING;
    for (std::string_view line : events.lines) {
        auto document = parser.iterate(line.data(), line.size(), end - static_cast<size_t>(line.data() - events.text.data()));
        simdjson::ondemand::array coordinates;
        if (document["geometry"]["coordinates"].get(coordinates) == simdjson::SUCCESS) count += xs_below(coordinates, sum);
    }
    sink = count + static_cast<size_t>(-sum);
}

std::vector<Pattern> parse_all(const std::vector<std::string>& texts) {
    std::vector<Pattern> out;
    for (const std::string& text : texts) {
        auto pattern = parse_pattern(text);
        if (!pattern) {
            fmt::print(stderr, "{}: {}\n", text, pattern.error().message);
            std::exit(2);
        }
        out.push_back(std::move(*pattern));
    }
    return out;
}

std::shared_ptr<const Matcher> matcher_of(const std::vector<Pattern>& patterns) {
    std::vector<RulePattern> rules;
    for (const Pattern& pattern : patterns) rules.push_back({rules.size(), &pattern});
    return Matcher::of(rules);
}

void check(const Events& events, const Set& set, const Matcher& matcher) {
    MatchScratch scratch;
    std::vector<std::vector<RuleId>> out;
    std::vector<int64_t> counts(set.patterns.size());
    int64_t sum = 0;
    matcher.match(events.lines, scratch, out);
    for (const std::vector<RuleId>& ids : out) {
        for (RuleId id : ids) ++counts[id];
        sum += static_cast<int64_t>(ids.size());
    }
    const auto refuse = [&](std::string_view what, int64_t got, int64_t expected) {
        if (got == expected) return;
        ++wrong;
        fmt::print("WRONG: {} {}: {} matches, {} expected\n", set.name, what, got, expected);
    };
    if (set.expected.size() == set.patterns.size()) {
        for (size_t i = 0; i < counts.size(); ++i) refuse(set.patterns[i], counts[i], set.expected[i]);
    } else {
        refuse("in all", sum, set.expected.at(0));
    }
}

// The ratio.
double run(const Events& events, const Set& set) {
    const auto matcher = matcher_of(parse_all(set.patterns));
    check(events, set, *matcher);
    MatchScratch scratch;
    std::vector<std::vector<RuleId>> out;
    const auto ours = [&] {
        size_t sum = 0;
        for (size_t at = 0; at < events.lines.size(); at += a_request) {
            const auto request = std::span(events.lines).subspan(at, std::min(a_request, events.lines.size() - at));
            matcher->match(request, scratch, out);
            for (size_t i = 0; i < request.size(); ++i) sum += out[i].size();
        }
        sink = sum;
    };
    const auto limit = [&] { set.limit == Set::one_field ? on_demand_one_field(events) : on_demand_coordinates(events); };
    const auto [mine, theirs] = race(ours, limit);
    const double n = static_cast<double>(events.lines.size());
    fmt::print("| {:26} | {:6} | {:8.0f} | {:8.0f} | {:5.2f} |\n", set.name, set.patterns.size(), n / mine / 1000, n / theirs / 1000, theirs / mine);
    std::fflush(stdout);
    return theirs / mine;
}

size_t heap() {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

void large_sets(const Events& events, const std::vector<Set>& sets) {
    double at_first = 0;
    for (const Set& set : sets) {
        const auto patterns = parse_all(set.patterns);
        const size_t before = heap();
        std::shared_ptr<const Matcher> matcher;
        const double built = time_of([&] { matcher = matcher_of(patterns); });
        const size_t bytes = heap() - before;
        std::vector<double> put, removed;
        for (int i = 0; i < 50; ++i) {
            const RulePattern rule{patterns.size() + 7, &patterns[static_cast<size_t>(i)]};
            std::shared_ptr<const Matcher> more, less;
            put.push_back(time_of([&] { more = matcher->with({&rule, 1}); }));
            removed.push_back(time_of([&] { less = more->with({}, std::span(&rule.id, 1)); }));
        }
        std::ranges::sort(put);
        std::ranges::sort(removed);
        matcher.reset();
        const double speed = run(events, set);
        if (at_first == 0) at_first = speed;
        fmt::print("    {:.0f} bytes a rule; built in {:.0f} ms; one rule added in {:.3f} ms, removed in {:.3f} ms (medians; worst {:.2f}, {:.2f}); {:.0f} % of the first set's ratio\n",
                   static_cast<double>(bytes) / static_cast<double>(set.patterns.size()), built * 1e3, put[25] * 1e3, removed[25] * 1e3, put.back() * 1e3, removed.back() * 1e3,
                   100 * speed / at_first);
    }
}

// -- data of its own, where none is given --

Events made_events() {
    std::mt19937 random(7);
    const auto below = [&](unsigned n) { return random() % n; };
    static constexpr const char* streets[] = {"FULTON", "MASON", "BEACH", "HYDE", "ACADIA", "BLANKEN", "DRUMM", "FUNSTON", "RHINE", "LAKE", "IRVING", "SAN DIEGO", "JEFFERSON", "MISSION", "ZOE"};
    std::string text;
    for (int i = 0; i < 30'000; ++i) {
        const std::string lot = fmt::format("{:04}{:03}", 1 + below(7380), 1 + below(300));
        std::string points, first;
        for (unsigned n = 4 + below(10), p = 0; p < n; ++p) {
            const std::string point = fmt::format(R"({{"x":-122.{:014},"y":37.7{:013},"z":0}})", 36'600'000'000'000 + random() * 3000ull, 1'000'000'000'000ull + random());
            if (p == 0) first = point;
            points += (p ? "," : "") + point;
        }
        text += fmt::format(R"({{"type":"Feature","properties":{{"MAPBLKLOT":"{0}","BLKLOT":"{0}","BLOCK_NUM":"{1}","LOT_NUM":"{2}","FROM_ST":"{3}","TO_ST":"{3}","STREET":"{4}","ST_TYPE":"{5}","ODD_EVEN":"O"}},)"
                            R"("geometry":{{"type":"{6}","coordinates":[[{7}]],"firstCoordinates":{8}}}}})"
                            "\n",
                            lot, lot.substr(0, 4), lot.substr(4), below(3000), streets[below(15)], below(2) ? "ST" : "AVE", below(500) ? "Polygon" : "MultiPolygon", points, first);
    }
    return cut(text);
}

std::vector<Set> made_sets() {
    const auto set = [](std::string name, std::string_view field, std::vector<std::string> tests) {
        Set out{std::move(name), {}, {}};
        for (const std::string& test : tests) out.patterns.push_back(fmt::format(R"({{"properties":{{"{}":[{}]}}}})", field, test));
        return out;
    };
    std::vector<Set> sets = {
        set("EXACT", "MAPBLKLOT", {R"("1430022")", R"("2607117")", R"("2607218")", R"("3745012")", R"("0001001")"}),
        set("WILDCARD", "MAPBLKLOT", {R"({"wildcard":"143*"})", R"({"wildcard":"2*0*1*7"})", R"({"wildcard":"*218"})", R"({"wildcard":"3*5*2"})"}),
        set("PREFIX", "STREET", {R"({"prefix":"AC"})", R"({"prefix":"BL"})", R"({"prefix":"DR"})", R"({"prefix":"FU"})", R"({"prefix":"RH"})"}),
        set("SUFFIX", "STREET", {R"({"suffix":"ON"})", R"({"suffix":"KE"})", R"({"suffix":"MM"})", R"({"suffix":"ING"})", R"({"suffix":"GO"})"}),
        set("EQUALS_IGNORE_CASE", "STREET", {R"({"equals-ignore-case":"jefferson"})", R"({"equals-ignore-case":"bEaCh"})", R"({"equals-ignore-case":"HyDe"})"}),
        set("ANYTHING_BUT", "STREET", {R"({"anything-but":["FULTON"]})", R"({"anything-but":["MASON"]})"}),
    };
    Set arrays{"COMPLEX_ARRAYS", {}, {}, Set::coordinates};
    for (const char* test : {R"(["<",-122.4])", R"([">",-122.4])", R"([">",-122.45,"<",-122.4])"})
        arrays.patterns.push_back(fmt::format(R"({{"geometry":{{"coordinates":{{"x":[{{"numeric":{}}}]}}}}}})", test));
    sets.push_back(arrays);
    return sets;
}

void expect_plainly(const Events& events, Set& set) {
    const auto patterns = parse_all(set.patterns);
    for (const Pattern& pattern : patterns) set.expected.push_back(std::ranges::count_if(events.lines, [&](std::string_view line) { return matches(pattern, line); }));
}

std::vector<std::string> lines_of(const std::string& path) {
    std::vector<std::string> out;
    std::string line;
    for (std::ifstream in(path); std::getline(in, line);) {
        if (!line.empty()) out.push_back(line);
    }
    return out;
}

// -- the door: validation of a CodePipeline event, and 300 rules as people write them --

std::string codepipeline_event() {
    return R"({"version":"0","id":"7bf1b7b5-3d2a-4a50-9d4a-0e2f5f3f3a51","detail-type":"CodePipeline Action Execution State Change","source":"aws.codepipeline",)"
           R"("account":"123456789012","time":"2026-04-19T12:42:28Z","region":"eu-central-1","resources":["arn:aws:codepipeline:eu-central-1:123456789012:team-7-service-117"],)"
           R"("detail":{"pipeline":"team-7-service-117","execution-id":"01234567-89ab-cdef-0123-456789abcdef","start-time":"2026-04-19T12:41:02.511Z","stage":"Deploy",)"
           R"("action-execution-id":"a1b2c3d4-5678-90ab-cdef-1234567890ab","action":"Deploy_to_production","input-artifacts":[{"name":"BuildOutput","s3location":{"bucket":"codepipeline-eu-central-1-104953",)"
           R"("key":"team-7-service/BuildOutp/AbCdEfG"}}],"execution-result":{"external-execution-url":"https://console.aws.amazon.com/codebuild/home?region=eu-central-1#/builds/x:1/view/new",)"
           R"("external-execution-summary":"Deployment d-ABC failed: the health check of 3 of 12 instances did not answer","external-execution-id":"d-ABC","error-code":"JobFailed"},)"
           R"("state":"FAILED","region":"eu-central-1","type":{"owner":"AWS","provider":"CodeDeploy","category":"Deploy","version":"1"},"version":4.0}})";
}

std::vector<std::string> codepipeline_rules() {
    std::vector<std::string> out;
    static constexpr const char* states[] = {"FAILED", "SUCCEEDED", "STARTED", "CANCELED", "ABANDONED"};
    for (int i = 0; i < 300; ++i) {
        const std::string type = i % 3 == 0 ? "Pipeline" : i % 3 == 1 ? "Stage" : "Action";
        std::string detail = fmt::format(R"("state":["{}"])", states[i % 5]);
        if (i % 4 != 3) detail += fmt::format(R"(,"pipeline":["team-{}-service-{}"])", i % 10, i);
        else if (i % 8 == 3) detail += fmt::format(R"(,"pipeline":[{{"prefix":"team-{}-"}}])", i % 10);
        else detail += R"(,"stage":[{"anything-but":["Source","Build"]}])";
        out.push_back(fmt::format(R"({{"source":["aws.codepipeline"],"detail-type":["CodePipeline {} Execution State Change"],"detail":{{{}}}}})", type, detail));
    }
    return out;
}

void door() {
    const auto matcher = matcher_of(parse_all(codepipeline_rules()));
    const simdjson::padded_string event(codepipeline_event());
    simdjson::dom::parser parser;
    MatchScratch scratch;
    std::vector<RuleId> out;
    constexpr int rounds = 100'000;
    const auto dom = [&] {
        size_t sum = 0;
        for (int i = 0; i < rounds; ++i) sum += parser.parse(event).error() == simdjson::SUCCESS;
        sink = sum;
    };
    const auto ours = [&] {
        size_t sum = 0;
        for (int i = 0; i < rounds; ++i) {
            if (matcher->check_and_match(event, scratch, out)) sum += out.size();
        }
        sink = sum;
    };
    const auto [mine, theirs] = race(ours, dom);
    fmt::print("\nThe door: a CodePipeline event of {} bytes, validated whole and held against 300 rules ({} match): {:.0f} thousand events/s; simdjson's DOM alone {:.0f}; ratio {:.2f}\n",
               event.size(), out.size(), rounds / mine / 1000, rounds / theirs / 1000, theirs / mine);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2) seconds_each = std::atof(argv[2]);
    std::vector<Set> sets, large;
    Events events;
    if (argc > 1) {
        const std::string data = argv[1];
        events = cut(read_file(data + "/citylots.jsonl"));
        simdjson::dom::parser parser;
        const simdjson::padded_string text(read_file(data + "/rulesets.json"));
        simdjson::dom::object all;
        if (parser.parse(text).get(all) != simdjson::SUCCESS) return 2;
        for (const auto [name, list] : all) {
            Set set{std::string(name), {}, {}};
            for (const simdjson::dom::object rule : list.get_array().value()) {
                set.patterns.emplace_back(rule["pattern"].get_string().value());
                set.expected.push_back(rule["matches"].get_int64().value());
            }
            if (set.name == "COMPLEX_ARRAYS") set.limit = Set::coordinates;
            sets.push_back(std::move(set));
        }
        // Sums that the script that made the sets printed; recomputed here from what the rules say of each event.
        for (const char* name : {"1000", "10000", "100000", "wild50", "wild200"}) {
            Set set{fmt::format("rules_{}", name), lines_of(fmt::format("{}/rules_{}.jsonl", data, name)), {}};
            large.push_back(std::move(set));
        }
    } else {
        events = made_events();
        sets = made_sets();
        for (Set& set : sets) expect_plainly(events, set);
        for (size_t size : {1000u, 10'000u}) {
            Set set{fmt::format("made_{}", size), {}, {}};
            std::mt19937 random(11);
            for (size_t i = 0; i < size; ++i) {
                const std::string_view line = events.lines[random() % events.lines.size()];
                const size_t lot = line.find("MAPBLKLOT") + 12, street = line.find("STREET") + 9;
                set.patterns.push_back(fmt::format(R"({{"properties":{{"MAPBLKLOT":["{}"],"STREET":[{{"prefix":"{}"}}]}}}})", line.substr(lot, 7), line.substr(street, 3)));
            }
            large.push_back(std::move(set));
        }
    }
    if (argc > 3) {
        const auto other = [&](const Set& set) { return set.name.find(argv[3]) == std::string::npos; };
        std::erase_if(sets, other);
        std::erase_if(large, other);
    }
    std::ifstream cpu("/proc/cpuinfo");
    std::string model;
    for (std::string line; std::getline(cpu, line) && model.empty();) {
        if (line.starts_with("model name")) model = line.substr(line.find(':') + 2);
    }
    static constexpr const char* widths[] = {"plain arithmetic", "SSE2", "AVX2", "AVX-512"};
    fmt::print("{}; scan by {}, simdjson {} by {}; {} events, {} bytes on average\n\n", model, widths[static_cast<int>(widest_scan())],
               fmt::format("{}.{}.{}", int{simdjson::SIMDJSON_VERSION_MAJOR}, int{simdjson::SIMDJSON_VERSION_MINOR}, int{simdjson::SIMDJSON_VERSION_REVISION}),
               simdjson::get_active_implementation()->name(), events.lines.size(), events.text.size() / std::max<size_t>(1, events.lines.size()));
    fmt::print("| set                        |  rules | k ev/s   | limit    | ratio |\n|---|---|---|---|---|\n");
    for (const Set& set : sets) run(events, set);
    for (Set& set : large) {
        // The matches in all, from the rules' two forms and nothing of the matcher.
        int64_t sum = 0;
        std::multimap<std::string, std::string, std::less<>> prefixes;
        std::vector<std::pair<std::string, std::string>> wildcards;
        std::map<std::string, int64_t, std::less<>> by_street;
        for (const std::string& pattern : set.patterns) {
            const size_t lot = pattern.find("[\"");
            if (const size_t prefix = pattern.find("prefix"); prefix != std::string::npos) {
                const size_t at = pattern.find('"', pattern.find(':', prefix)) + 1;
                prefixes.emplace(pattern.substr(lot + 2, pattern.find('"', lot + 2) - lot - 2), pattern.substr(at, pattern.find('"', at) - at));
            } else {
                const size_t at = pattern.find('*'), mid = pattern.find('*', at + 1), end = pattern.find('*', mid + 1);
                wildcards.emplace_back(pattern.substr(at + 1, mid - at - 1), pattern.substr(mid + 1, end - mid - 1));
            }
        }
        for (std::string_view line : events.lines) {
            const size_t lot = line.find("MAPBLKLOT") + 12, street_key = line.find("\"STREET\":") + 9;
            if (line[street_key] != '"') continue;
            const std::string_view key = line.substr(lot, line.find('"', lot) - lot), street = line.substr(street_key + 1, line.find('"', street_key + 1) - street_key - 1);
            const auto [low, high] = prefixes.equal_range(key);
            for (auto at = low; at != high; ++at) sum += street.starts_with(at->second);
            if (wildcards.empty()) continue;
            auto known = by_street.find(street);
            if (known == by_street.end()) {
                int64_t n = 0;
                for (const auto& [a, b] : wildcards) {
                    const size_t at = street.find(a);
                    n += at != std::string_view::npos && street.find(b, at + a.size()) != std::string_view::npos;
                }
                known = by_street.emplace(std::string(street), n).first;
            }
            sum += known->second;
        }
        set.expected = {sum};
    }
    large_sets(events, large);
    door();
    if (wrong) fmt::print("{} counts are wrong\n", wrong);
    return wrong ? 1 : 0;
}
