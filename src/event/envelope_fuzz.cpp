// Arbitrary bytes as an event: refused with a reason, or accepted; and what is accepted keeps the promises of event/envelope.h: compact JSON that
// reads as itself, fields within their limits, a transition that survives the log, texts that can be read again.
//
// The first byte chooses whether the rest is taken as it is or stands inside a sound CodePipeline event, as its detail or as one of its texts;
// or chooses members of such a detail from a table; so the interesting places are reached. It cannot generate: events of more than libFuzzer's 4 KB, depths beyond about 2000.
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "event/envelope.h"
#include "event/limits.h"
#include "event/record.h"

namespace {

using namespace waybill;

std::string around(std::string_view detail, std::string_view type) {
    return std::string(R"({"id":"1","source":"aws.codepipeline","account":"1","region":"r","time":"2026-04-19T12:42:28Z","detail-type":"CodePipeline )") + std::string(type) +
           R"( Execution State Change","detail":)" + std::string(detail) + "}";
}

// Two bytes a member.
std::string chosen(std::string_view bytes) {
    static constexpr std::string_view keys[] = {"pipeline", "execution-id", "state", "stage", "action", "action-execution-id", "region", "type", "start-time", "version",
                                                "pipeline-execution-attempt", "last-retry-attempt-time", "stage-last-retry-attempt-time", "execution-trigger",
                                                "stop-execution-comments", "execution-result"};
    static constexpr std::string_view values[] = {R"("p")", R"("")", R"("STARTED")", R"("RESUMED")", R"("SUCCEEDED")", R"("FAILED")", R"("STOPPED")", R"("2026-04-19T12:42:28.5Z")",
                                                  R"("9999-12-31T23:59:59+23:59")", R"("0001-01-01T00:00:00Z")", "0.0", "1.0", "65535", "65536", "-1", "1e300", "1.5", "null", "true", "[]", "{}",
                                                  R"({"category":"Build","owner":"AWS","provider":"x\ny"})", R"({"commit-id":"c","trigger-type":7})", R"({"error-code":"\u0000\ud83d\ude00"})"};
    std::string out = R"({"pipeline":"p","execution-id":"x","state":"FAILED","stage":"s","action":"a","action-execution-id":"i")";
    if (!bytes.empty() && bytes[0] & 1) out = R"({"pipeline":"p")";
    for (size_t i = 1; i + 1 < bytes.size(); i += 2) {
        const auto key = keys[static_cast<uint8_t>(bytes[i]) % std::size(keys)];
        const auto value = values[static_cast<uint8_t>(bytes[i + 1]) % std::size(values)];
        out.append(",\"").append(key).append("\":").append(value);
    }
    return out + "}";
}

void check(const std::string& json) {
    static EnvelopeReader reader;
    auto result = reader.read(json);
    if (const auto* error = std::get_if<FieldError>(&result)) {
        ASSERT(!error->reason.empty());
        return;
    }
    const auto& event = std::get<IncomingEvent>(result);
    ASSERT(!event.id.empty() && event.id.size() <= limits::name_bytes);
    ASSERT(event.envelope.size() <= json.size());
    auto again = reader.read(event.envelope);
    ASSERT(std::holds_alternative<IncomingEvent>(again));
    const auto& same = std::get<IncomingEvent>(again);
    ASSERT(same.envelope == event.envelope && same.identity == event.identity && same.pipeline == event.pipeline);
    ASSERT(read_head(event.envelope).id == event.id);
    (void)read_texts(event.envelope);
    if (!event.pipeline) return;
    std::string group;
    GroupWriter(group).add(TransitionRecord{Outcome::accepted, *event.pipeline});
    GroupReader records(group);
    TransitionRecord r;
    const auto raw = records.next();
    ASSERT(raw && decode(raw->body, r) && r.event == *event.pipeline);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 8) {
        case 0: check(rest); break;
        case 1: check(around(rest, "Pipeline")); break;
        case 2: check(around(rest, "Stage")); break;
        case 3: check(around(rest, "Action")); break;
        case 4: check(around(R"({"pipeline":"p","execution-id":"x","state":"FAILED","stage":"s","action":"a","action-execution-id":"i",)" + rest + "}", "Action")); break;
        case 5: check(around(chosen(rest), "Pipeline")); break;
        case 6: check(around(chosen(rest), "Stage")); break;
        case 7: check(around(chosen(rest), "Action")); break;
    }
    return 0;
}
