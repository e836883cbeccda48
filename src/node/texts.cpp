#include "node/texts.h"

#include <fmt/format.h>

#include "event/envelope.h"
#include "event/record.h"

namespace waybill::node {

Result<std::string> read_envelope(const log::Log& log, Position position) {
    TRY(const log::Entry entry, log.read(position));
    GroupReader group(entry.payload);
    while (auto record = group.next()) {
        EventRecord event;
        if (record->type == RecordType::event && decode(record->body, event)) return std::string(event.envelope);
    }
    return not_found(fmt::format("the group at position {} holds no event", position));
}

namespace {

Result<EventTexts> texts_at(const log::Log& log, Position position) {
    if (!position) return EventTexts{};
    auto envelope = read_envelope(log, position);
    if (!envelope.ok() && envelope.error().kind == ErrorKind::not_found) return EventTexts{};
    if (!envelope.ok()) return std::move(envelope).error();
    return read_texts(*envelope);
}

}  // namespace

Result<void> load_texts(const log::Log& log, ExecutionView& e) {
    TRY(EventTexts trigger, texts_at(log, e.trigger.position));
    e.trigger_type = std::move(trigger.trigger_type);
    e.trigger_detail = std::move(trigger.trigger_detail);
    e.commit_id = std::move(trigger.commit_id);
    e.commit_message = std::move(trigger.commit_message);
    e.repository = std::move(trigger.repository);
    e.branch = std::move(trigger.branch);
    e.tag = std::move(trigger.tag);
    e.author_name = std::move(trigger.author_name);
    e.author_email = std::move(trigger.author_email);
    e.author_id = std::move(trigger.author_id);
    TRY(EventTexts stop, texts_at(log, e.stop_comment.position));
    e.stop_reason = std::move(stop.stop_comment);
    for (auto& a : e.actions) {
        TRY(EventTexts result, texts_at(log, a.result.position));
        a.external_id = std::move(result.external_id);
        a.external_url = std::move(result.external_url);
        a.summary = std::move(result.external_summary);
        a.error_code = std::move(result.error_code);
    }
    // A connection's source action sums up as JSON: {"ProviderType":"GitHub","CommitMessage":"…"}.
    for (auto& a : e.actions)
        if (a.category == "Source")
            if (auto message = commit_message_in(a.summary)) a.summary = std::move(*message);
    // Without a Git trigger, the first source action (in true order) that succeeded says which commit it was.
    for (const auto& a : e.actions) {
        if (!e.commit_id.empty() || a.category != "Source" || a.state != State::succeeded) continue;
        e.commit_id = a.external_id;
        e.commit_message = a.summary;
        e.commit_url = a.external_url;
    }
    // With one, the source action of that commit has its link.
    for (const auto& a : e.actions)
        if (e.commit_url.empty() && a.category == "Source" && a.external_id == e.commit_id) e.commit_url = a.external_url;
    return {};
}

}  // namespace waybill::node
