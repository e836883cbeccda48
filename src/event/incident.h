// An incident of a pipeline as a value: a run of failing executions, in true order, up to the first newer success. It is a pure function
// of the pipeline's newest limits::marks_a_pipeline finished executions, so it does not depend on the order in which events arrived.
#pragma once

#include <string>
#include <vector>

#include "base/json_writer.h"
#include "event/pipeline_event.h"

namespace waybill {

struct IncidentExecution {
    std::string execution_id;
    TimeMs start = no_time;     // orders it among the pipeline's executions
    TimeMs failed = no_time;    // time of its latest FAILED event
    int attempt = 1;            // and that event's attempt
};

struct Incident {
    std::string id;             // inc- and a hash of the pipeline and its first failing execution
    PipelineKey pipeline;
    std::vector<IncidentExecution> executions;  // oldest first
    TimeMs opened = no_time;    // time of the earliest failure among them
    TimeMs resolved = no_time;  // time of the success that resolved it; no_time: open
    std::string resolved_by;    // execution id
    bool open() const { return resolved_by.empty(); }
};

std::string incident_id(const PipelineKey& pipeline, std::string_view first_execution_id);
void write_json(JsonWriter& out, const Incident& incident);

}  // namespace waybill
