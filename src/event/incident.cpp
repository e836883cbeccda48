#include "event/incident.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

namespace waybill {

std::string incident_id(const PipelineKey& pipeline, std::string_view first_execution_id) {
    std::string text;
    ByteWriter out(text);
    for (std::string_view part : {std::string_view(pipeline.account), std::string_view(pipeline.region), std::string_view(pipeline.pipeline), first_execution_id})
        out.text(part);
    const uint64_t hash = hash64(text);
    return "inc-" + to_hex({reinterpret_cast<const char*>(&hash), sizeof hash});
}

void write_json(JsonWriter& out, const Incident& i) {
    ASSERT(!i.executions.empty());
    out.begin_object();
    out.key("incidentId").text(i.id);
    out.key("pipeline").text(i.pipeline.pipeline);
    out.key("account").text(i.pipeline.account);
    out.key("region").text(i.pipeline.region);
    out.key("status").text(i.open() ? "open" : "resolved");
    out.key("openedTime").time(i.opened);
    out.key("resolvedTime").time(i.resolved);
    out.key("resolvedBy").text_or_null(i.resolved_by);
    out.key("firstExecutionId").text(i.executions.front().execution_id);
    out.key("lastExecutionId").text(i.executions.back().execution_id);
    out.key("executions").begin_array();
    for (const auto& e : i.executions)
        out.begin_object()
            .key("executionId").text(e.execution_id)
            .key("failedTime").time(e.failed)
            .key("attempt").number(e.attempt)
            .end_object();
    out.end_array().end_object();
}

}  // namespace waybill
