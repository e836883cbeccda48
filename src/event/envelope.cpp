#include "event/envelope.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <cmath>

#include "base/assert.h"
#include "base/bytes.h"
#include "event/limits.h"

namespace waybill {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view suffix = " Execution State Change";

std::optional<Scope> scope_of(std::string_view detail_type) {
    if (detail_type == "CodePipeline Pipeline Execution State Change") return Scope::pipeline;
    if (detail_type == "CodePipeline Stage Execution State Change") return Scope::stage;
    if (detail_type == "CodePipeline Action Execution State Change") return Scope::action;
    return {};
}

// Reads members of one object; the first broken rule is kept and everything after it is skipped. Of two members with one name the
// first counts.
class Fields {
public:
    Fields(dom::object object, std::string_view prefix, std::optional<FieldError>& error)
        : object_(object), prefix_(prefix), error_(error) {
        for (auto field : object) {
            if (count_ == members_.size()) break;
            members_[count_++] = {tag(field.key), field.key, field.value};
        }
    }

    bool has(std::string_view key, dom::element& out) const {
        if (error_) return false;
        const uint32_t wanted = tag(key);
        for (size_t i = 0; i < count_; ++i)
            if (members_[i].tag == wanted && members_[i].key == key) return out = members_[i].value, true;
        return count_ == members_.size() && object_.at_key(key).get(out) == simdjson::SUCCESS;
    }

    std::string_view text(std::string_view key, size_t max, bool required, bool may_be_empty = false) {
        dom::element value;
        if (!has(key, value)) {
            if (required) fail(key, "is missing: a string is required");
            return {};
        }
        std::string_view s;
        if (value.get(s) != simdjson::SUCCESS) return fail(key, "must be a string"), std::string_view();
        if (s.empty() && required && !may_be_empty) return fail(key, "must not be empty"), std::string_view();
        if (s.size() > max)
            return fail(key, fmt::format("is {} bytes long; at most {} are allowed", s.size(), max)), std::string_view();
        return s;
    }

    TimeMs time(std::string_view key, bool required) {
        const std::string_view s = text(key, 64, required);
        if (error_ || s.empty()) {
            dom::element value;
            if (has(key, value)) fail(key, "must not be empty");
            return no_time;
        }
        auto t = parse_time(s);
        if (!t) fail(key, "is not an RFC 3339 time such as 2026-04-19T12:42:28Z");
        return t.value_or(no_time);
    }

    // A number that CodePipeline writes as float text ("1.0").
    double number(std::string_view key, double otherwise, double max, bool whole) {
        dom::element value;
        if (!has(key, value)) return otherwise;
        double v;
        if (value.get(v) != simdjson::SUCCESS) return fail(key, "must be a number"), otherwise;
        if (!(v >= 0 && v <= max) || (whole && v != std::floor(v)))
            return fail(key, fmt::format("must be a {}number from 0 to {}", whole ? "whole " : "", max)), otherwise;
        return v;
    }

    std::optional<dom::object> object(std::string_view key, bool required) {
        dom::element value;
        if (!has(key, value)) {
            if (required) fail(key, "is missing: an object is required");
            return {};
        }
        dom::object o;
        if (value.get(o) != simdjson::SUCCESS) return fail(key, "must be an object"), std::nullopt;
        return o;
    }

    void fail(std::string_view key, std::string reason) {
        if (!error_) error_ = FieldError{std::string(prefix_) + std::string(key), std::move(reason)};
    }

private:
    // Tells most names apart without looking at them: a dozen members are asked for by name, in objects of as many.
    static uint32_t tag(std::string_view key) {
        if (key.empty()) return 0;
        const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(key[i])); };
        return static_cast<uint32_t>(key.size()) << 24 | byte(0) << 16 | byte(key.size() / 2) << 8 | byte(key.size() - 1);
    }
    struct Member {
        uint32_t tag;
        std::string_view key;
        dom::element value;
    };

    dom::object object_;
    std::array<Member, 24> members_;  // the first ones; what an object has beyond is asked of it
    size_t count_ = 0;
    std::string_view prefix_;
    std::optional<FieldError>& error_;
};

std::string_view reason_of(simdjson::error_code code) {
    switch (code) {
        case simdjson::UTF8_ERROR: return "is not valid UTF-8";
        case simdjson::DEPTH_ERROR: return "is nested more than 1000 levels deep";
        case simdjson::UNCLOSED_STRING: return "is not JSON: a string is not closed";
        case simdjson::STRING_ERROR: return "is not JSON: a string holds a bad escape";
        case simdjson::UNESCAPED_CHARS: return "is not JSON: a string holds an unescaped control character";
        case simdjson::NUMBER_ERROR: return "is not JSON: a number is malformed or out of range";
        case simdjson::EMPTY: return "is empty: a JSON object is required";
        default: return "is not JSON";
    }
}

PipelineEvent read_pipeline_event(Scope scope, dom::object detail, std::optional<FieldError>& error) {
    PipelineEvent e;
    Fields d(detail, "detail.", error);
    e.scope = scope;
    e.key.pipeline = d.text("pipeline", limits::name_bytes, true);
    e.execution_id = d.text("execution-id", limits::name_bytes, true);
    const std::string_view state = d.text("state", 64, true);
    if (!error) {
        if (auto s = parse_state(scope, state))
            e.state = *s;
        else
            d.fail("state",
                   fmt::format("'{}' is not a state of a CodePipeline {} execution", state.substr(0, 40), scope_word(scope)));
    }
    e.attempt = std::max(1, static_cast<int>(d.number("pipeline-execution-attempt", 1, limits::max_attempt, true)));
    e.version = d.number("version", 0, 1e9, false);
    e.start = d.time("start-time", false);
    if (scope == Scope::pipeline) e.last_retry = d.time("last-retry-attempt-time", false);
    if (scope == Scope::stage) e.last_retry = d.time("stage-last-retry-attempt-time", false);
    if (scope >= Scope::stage) e.stage = d.text("stage", limits::name_bytes, true);
    if (scope == Scope::action) {
        e.action = d.text("action", limits::name_bytes, true);
        e.action_execution_id = d.text("action-execution-id", limits::name_bytes, true);
        e.action_region = d.text("region", limits::name_bytes, false);
        if (auto type = d.object("type", false)) {
            Fields t(*type, "detail.type.", error);
            e.category = t.text("category", limits::name_bytes, false);
            e.owner = t.text("owner", limits::name_bytes, false);
            e.provider = t.text("provider", limits::name_bytes, false);
        }
        if (d.object("execution-result", false)) e.texts |= Texts::result;
    }
    if (scope == Scope::pipeline) {
        if (auto trigger = d.object("execution-trigger", false)) {
            e.texts |= Texts::trigger;
            dom::element ignored;
            if (trigger->at_key("commit-id").get(ignored) == simdjson::SUCCESS) e.texts |= Texts::commit;
        }
        if (!d.text("stop-execution-comments", limits::event_bytes, false).empty()) e.texts |= Texts::stop_comment;
    }
    return e;
}

std::string text_of(dom::object object, const char* key) {
    std::string_view s;
    if (object.at_key(key).get(s) != simdjson::SUCCESS) return {};
    return std::string(s);
}

EventTexts texts_in(dom::object detail) {
    EventTexts t;
    dom::object object;
    if (detail.at_key("execution-trigger").get(object) == simdjson::SUCCESS) {
        t.trigger_type = text_of(object, "trigger-type");
        t.trigger_detail = text_of(object, "trigger-detail");
        if (t.trigger_type.empty()) t.trigger_type = text_of(object, "provider-type");
        t.commit_id = text_of(object, "commit-id");
        t.commit_message = text_of(object, "commit-message");
        t.repository = text_of(object, "full-repository-name");
        t.branch = text_of(object, "branch-name");
        t.tag = text_of(object, "tag-name");
        t.author_name = text_of(object, "author-display-name");
        t.author_email = text_of(object, "author-email");
        t.author_id = text_of(object, "author-id");
    }
    t.stop_comment = text_of(detail, "stop-execution-comments");
    if (detail.at_key("execution-result").get(object) == simdjson::SUCCESS) {
        t.external_id = text_of(object, "external-execution-id");
        t.external_url = text_of(object, "external-execution-url");
        t.external_summary = text_of(object, "external-execution-summary");
        t.error_code = text_of(object, "error-code");
    }
    return t;
}

dom::parser& stored_parser() {
    // Stored envelopes were validated when they came in; they are parsed again wherever a page or a message needs their texts.
    thread_local dom::parser parser;
    return parser;
}

bool parse_stored(std::string_view envelope, dom::object& out) {
    dom::element root;
    return stored_parser().parse(envelope.data(), envelope.size(), true).get(root) == simdjson::SUCCESS &&
           root.get(out) == simdjson::SUCCESS;
}

template <class Texts>
auto members(Texts& t) {
    return std::array{&t.trigger_type, &t.trigger_detail, &t.stop_comment, &t.commit_id,        &t.commit_message,
                      &t.repository,   &t.branch,         &t.tag,          &t.author_name,      &t.author_email,
                      &t.author_id,    &t.external_id,    &t.external_url, &t.external_summary, &t.error_code};
}

}  // namespace

void encode(ByteWriter& out, const EventTexts& texts) {
    for (const std::string* t : members(texts)) out.text(*t);
}

bool decode(ByteReader& in, EventTexts& texts) {
    for (std::string* t : members(texts)) *t = in.text();
    return in.complete();
}

struct EnvelopeReader::Parts {
    dom::parser parser;
    std::string identity;
};

EnvelopeReader::EnvelopeReader() : parts_(std::make_unique<Parts>()) {
    const auto error = parts_->parser.allocate(64 << 10, limits::json_depth);
    ASSERT(error == simdjson::SUCCESS);
}
EnvelopeReader::~EnvelopeReader() = default;
EnvelopeReader::EnvelopeReader(EnvelopeReader&&) noexcept = default;

std::variant<IncomingEvent, FieldError> EnvelopeReader::read(std::string_view json, std::string_view bus) {
    if (json.size() > limits::event_bytes)
        return FieldError{"",
                          fmt::format("the event is {} bytes long; at most {} are allowed", json.size(), limits::event_bytes)};
    IncomingEvent in;
    in.envelope.resize(json.size() + simdjson::SIMDJSON_PADDING);
    size_t compact = 0;
    if (auto error = simdjson::minify(json.data(), json.size(), in.envelope.data(), compact); error != simdjson::SUCCESS)
        return FieldError{"", fmt::format("the event {}", reason_of(error)), true};
    auto& parser = parts_->parser;
    if (parser.capacity() < compact &&
        parser.allocate(std::max(compact, 2 * parser.capacity()), limits::json_depth) != simdjson::SUCCESS)
        return FieldError{"", "the event does not fit in memory"};
    dom::element root;
    if (auto error = parser.parse(in.envelope.data(), compact, false).get(root); error != simdjson::SUCCESS)
        return FieldError{"", fmt::format("the event {}", reason_of(error)), true};
    in.envelope.resize(compact);

    dom::object object;
    if (root.get(object) != simdjson::SUCCESS) return FieldError{"", "the event must be a JSON object"};
    std::optional<FieldError> error;
    Fields f(object, "", error);
    in.id = f.text("id", limits::name_bytes, true);
    const std::string_view source = f.text("source", limits::source_bytes, true);
    const std::string_view detail_type = f.text("detail-type", limits::detail_type_bytes, true);
    const bool codepipeline = !error && source == codepipeline_source;
    const std::string_view account = f.text("account", limits::name_bytes, codepipeline);
    const std::string_view region = f.text("region", limits::name_bytes, codepipeline);
    const TimeMs time = f.time("time", true);
    f.text("version", 16, false);
    const std::string_view replay = f.text("replay-name", 64, false);
    if (dom::element value; f.has("resources", value)) {
        dom::array list;
        if (value.get(list) != simdjson::SUCCESS)
            f.fail("resources", "must be an array of strings");
        else if (list.size() > limits::resources)
            f.fail("resources", fmt::format("has {} entries; at most {} are allowed", list.size(), limits::resources));
        else
            for (auto entry : list)
                if (!entry.is_string()) f.fail("resources", "must be an array of strings");
    }
    const auto detail = f.object("detail", true);
    if (!error && codepipeline) {
        if (auto scope = scope_of(detail_type)) {
            in.pipeline = read_pipeline_event(*scope, *detail, error);
            in.pipeline->key.account = account;
            in.pipeline->key.region = region;
            in.pipeline->time = time;
            in.pipeline->content = static_cast<uint32_t>(hash64(in.envelope));
            if (in.pipeline->texts && !error) {
                ByteWriter out(in.texts);
                encode(out, texts_in(*detail));
            }
        } else if (detail_type != "AWS API Call via CloudTrail") {
            f.fail("detail-type", fmt::format("'{}' is not a type of source aws.codepipeline: expected 'CodePipeline "
                                              "Pipeline{}', '… Stage …' or '… Action …'",
                                              detail_type.substr(0, 80), suffix));
        }
    }
    if (error) return std::move(*error);

    auto& identity = parts_->identity;
    identity.clear();
    ByteWriter out(identity);
    for (auto part : {bus, source, std::string_view(in.id), replay}) out.text(part);
    in.identity = hash128(identity);
    return in;
}

EventTexts read_texts(std::string_view envelope) {
    dom::object root, detail;
    if (!parse_stored(envelope, root) || root.at_key("detail").get(detail) != simdjson::SUCCESS) return {};
    return texts_in(detail);
}

std::optional<std::string> commit_message_in(std::string_view summary) {
    if (!summary.starts_with('{')) return {};
    dom::object root;
    std::string_view message;
    if (!parse_stored(summary, root) || root.at_key("CommitMessage").get(message) != simdjson::SUCCESS) return {};
    return std::string(message);
}

EnvelopeHead read_head(std::string_view envelope) {
    EnvelopeHead h;
    dom::object root;
    if (!parse_stored(envelope, root)) return h;
    h.id = text_of(root, "id");
    h.source = text_of(root, "source");
    h.detail_type = text_of(root, "detail-type");
    h.time = parse_time(text_of(root, "time")).value_or(no_time);
    return h;
}

}  // namespace waybill
