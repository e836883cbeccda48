// The native API under /api/v1/ (docs/openapi.yaml): reads of released state and of the history, the receipts, and redriving dead letters.
// Live ones (stream) are in stream.h, events in door.h.
#pragma once

#include "http/server.h"
#include "server/context.h"

namespace waybill::server {

// `path` is what follows "/api/v1". Nothing: no such resource.
http::Task<std::optional<http::Response>> native_api(const Context& context, http::Exchange& exchange, std::string_view path);

// 405, with the methods that there are.
http::Response method_not_allowed(const http::Head& head, std::string_view allowed);

// One pipeline's row, copied out of released state.
struct PipelineRow {
    PipelineKey key;
    uint64_t executions = 0;
    Position changed = 0;
    tracking::CurrentExecution current;
    std::string open_incident;
};
PipelineRow pipeline_row(const node::State& state, const tracking::Pipeline& pipeline);
void write_json(JsonWriter& out, const PipelineRow& row);

}  // namespace waybill::server
