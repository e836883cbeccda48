#include "event/pipeline_event.h"

#include <array>
#include <bit>

#include "base/assert.h"

namespace waybill {
namespace {

struct Words {
    State state;
    std::string_view event, status;
    uint8_t scopes;  // bit i: Scope(i) has the state
};
constexpr uint8_t p = 1, s = 2, a = 4;
constexpr std::array<Words, 9> words = {{
    {State::started, "STARTED", "InProgress", p | s | a},
    {State::resumed, "RESUMED", "InProgress", p | s},
    {State::stopping, "STOPPING", "Stopping", p | s},
    {State::succeeded, "SUCCEEDED", "Succeeded", p | s | a},
    {State::superseded, "SUPERSEDED", "Superseded", p},
    {State::canceled, "CANCELED", "Cancelled", p | s | a},
    {State::abandoned, "ABANDONED", "Abandoned", a},
    {State::stopped, "STOPPED", "Stopped", p | s},
    {State::failed, "FAILED", "Failed", p | s | a},
}};

void put_time(ByteWriter& out, TimeMs t, TimeMs base) {
    // 0 is "not known"; otherwise the distance from `base`, moved off zero.
    if (t == no_time) return out.varint(0);
    const int64_t d = static_cast<int64_t>(static_cast<uint64_t>(t) - static_cast<uint64_t>(base));  // wraps, and back again
    out.varint(((static_cast<uint64_t>(d) << 1) ^ static_cast<uint64_t>(d >> 63)) + 1);
}

TimeMs get_time(ByteReader& in, TimeMs base) {
    const uint64_t v = in.varint();
    if (v == 0) return no_time;
    const uint64_t z = v - 1;
    const int64_t d = static_cast<int64_t>(z >> 1) ^ -static_cast<int64_t>(z & 1);
    return static_cast<TimeMs>(static_cast<uint64_t>(base) + static_cast<uint64_t>(d));
}

}  // namespace

std::string_view event_word(State state) { return words[static_cast<size_t>(state)].event; }
std::string_view status_word(State state) { return words[static_cast<size_t>(state)].status; }

std::string_view scope_word(Scope scope) {
    switch (scope) {
        case Scope::pipeline: return "pipeline";
        case Scope::stage: return "stage";
        case Scope::action: return "action";
    }
    ASSERT(false);
}

std::optional<State> parse_state(Scope scope, std::string_view word) {
    for (const auto& w : words)
        if (w.event == word) return (w.scopes >> static_cast<int>(scope)) & 1 ? std::optional(w.state) : std::nullopt;
    return {};
}

std::optional<State> parse_status(std::string_view word) {
    for (const auto& w : words)
        if (w.status == word) return w.state;
    return {};
}

void encode(ByteWriter& out, const PipelineEvent& e) {
    out.u8(static_cast<uint8_t>(e.scope));
    out.u8(static_cast<uint8_t>(e.state));
    out.u8(e.texts);
    out.varint(static_cast<uint64_t>(e.attempt));
    out.svarint(e.time);
    put_time(out, e.start, e.time);
    put_time(out, e.last_retry, e.time);
    out.u32(e.content);
    out.u64(std::bit_cast<uint64_t>(e.version));
    out.text(e.key.account);
    out.text(e.key.region);
    out.text(e.key.pipeline);
    out.text(e.execution_id);
    if (e.scope >= Scope::stage) out.text(e.stage);
    if (e.scope == Scope::action) {
        out.text(e.action);
        out.text(e.action_execution_id);
        out.text(e.category);
        out.text(e.owner);
        out.text(e.provider);
        out.text(e.action_region);
    }
}

bool decode(ByteReader& in, PipelineEvent& e) {
    const uint8_t scope = in.u8(), state = in.u8();
    if (scope > 2 || state > 8) return false;
    e.scope = static_cast<Scope>(scope);
    e.state = static_cast<State>(state);
    e.texts = in.u8();
    e.attempt = static_cast<int>(in.varint());
    e.time = in.svarint();
    e.start = get_time(in, e.time);
    e.last_retry = get_time(in, e.time);
    e.content = in.u32();
    e.version = std::bit_cast<double>(in.u64());
    e.key.account.assign(in.text());
    e.key.region.assign(in.text());
    e.key.pipeline.assign(in.text());
    e.execution_id.assign(in.text());
    e.stage.assign(scope >= 1 ? in.text() : std::string_view());
    const bool action = scope == 2;
    e.action.assign(action ? in.text() : std::string_view());
    e.action_execution_id.assign(action ? in.text() : std::string_view());
    e.category.assign(action ? in.text() : std::string_view());
    e.owner.assign(action ? in.text() : std::string_view());
    e.provider.assign(action ? in.text() : std::string_view());
    e.action_region.assign(action ? in.text() : std::string_view());
    return !in.failed() && e.attempt >= 1 && e.attempt <= 65535;
}

}  // namespace waybill
