// Every limit of Waybill, in one place, with its reason and, where there is one, the AWS limit that it mirrors. A limit that the
// configuration may change has its default here. Sizes are bytes, spans are milliseconds.
#pragma once

#include <cstddef>
#include <cstdint>

namespace waybill::limits {

// -- one event --
constexpr size_t event_bytes = (1 << 20) + (64 << 10);  // one envelope; a PutEvents entry may take 1 MB, its envelope comes on top
constexpr size_t json_depth = 1000;                // nesting levels; EventBridge: 1000
constexpr size_t name_bytes = 256;                 // pipeline, stage and action names (CodePipeline: 100), ids, account, region
constexpr size_t source_bytes = 256;               // EventBridge: 256
constexpr size_t detail_type_bytes = 128;          // EventBridge: 128
constexpr size_t resources = 50;                   // entries of an envelope's `resources`; a stop for hostile input, AWS states none

// -- PutEvents (facts: EventBridge API reference, PutEvents) --
constexpr size_t put_events_entries = 10;
constexpr size_t put_events_bytes = 1 << 20;       // sum over the entries by AWS's formula
constexpr size_t put_events_body = 8 << 20;        // the JSON around them, where every byte of detail may be escaped

// -- POST /events --
constexpr size_t events_body_slice = 256 << 10;    // how much of a streamed body is submitted at once
constexpr size_t refusals_named = 100;             // how many refused events an answer names; all are counted

// -- the node --
constexpr size_t commands_a_batch = 4096;          // commands that one sync may cover
constexpr size_t batch_bytes = 16 << 20;           // and bytes
constexpr size_t queue_commands = 65536;           // commands waiting; beyond it callers get 503
constexpr size_t queue_bytes = 256 << 20;          // and bytes waiting

// -- tracking --
constexpr size_t pipelines = 1'000'000;            // pipelines remembered; events of further ones are kept, not tracked
constexpr size_t stages_an_execution = 100;        // CodePipeline: 50
constexpr size_t actions_an_execution = 4000;      // action executions, each retry one; CodePipeline: 1000 actions a pipeline
constexpr size_t attempts_seen = 64;               // attempts of one stage or pipeline whose states are remembered one by one
constexpr size_t groups_an_execution = 2000;       // log positions that an execution's page and receipt can show
constexpr int max_attempt = 65535;
constexpr size_t known_event_ids = 4'000'000;      // the window of known ids, or 24 h, whichever is first
constexpr int64_t known_event_ids_ms = 24 * 3'600'000;
constexpr size_t marks_a_pipeline = 256;           // finished executions of a pipeline that incidents are reckoned from

// -- delivery (EventBridge: MaximumRetryAttempts 185, MaximumEventAgeInSeconds 86400) --
constexpr int delivery_attempts = 185;
constexpr int64_t delivery_age_ms = 24 * 3'600'000;
constexpr size_t open_deliveries = 1'000'000;      // beyond it new events wait (503), so that nothing planned is dropped
constexpr size_t outcome_text_bytes = 512;         // of what a target answered, kept with the attempt

// -- reads --
constexpr size_t page_default = 50;
constexpr size_t page_max = 1000;
constexpr size_t pipelines_page_max = 10'000;
constexpr int64_t read_wait_ms = 1000;             // how long a list waits for the history to catch up

}  // namespace waybill::limits
