#include "node/texts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
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

void RecentTexts::remember(std::vector<std::pair<Position, std::string>>& batch) {
    if (batch.empty()) return;
    std::lock_guard lock(mutex_);
    for (auto& entry : batch) {
        bytes_ += sizeof entry + entry.second.capacity();
        texts_.push_back(std::move(entry));
    }
    batch.clear();
    for (; bytes_ > most_bytes; texts_.pop_front()) bytes_ -= sizeof texts_.front() + texts_.front().second.capacity();
}

bool RecentTexts::find(Position position, std::string& encoded) const {
    std::lock_guard lock(mutex_);
    const auto at = std::ranges::lower_bound(texts_, position, {}, &std::pair<Position, std::string>::first);
    if (at == texts_.end() || at->first != position) return false;
    encoded = at->second;
    return true;
}

namespace {

Result<EventTexts> texts_at(const log::Log& log, const RecentTexts& recent, Position position) {
    if (!position) return EventTexts{};
    if (std::string encoded; recent.find(position, encoded)) {
        ByteReader in(encoded);
        EventTexts texts;
        ASSERT(decode(in, texts));
        return texts;
    }
    auto envelope = read_envelope(log, position);
    if (!envelope.ok() && envelope.error().kind == ErrorKind::not_found) return EventTexts{};
    if (!envelope.ok()) return std::move(envelope).error();
    return read_texts(*envelope);
}

}  // namespace

Result<void> load_texts(const log::Log& log, const RecentTexts& recent, ExecutionView& e) {
    TRY(EventTexts trigger, texts_at(log, recent, e.trigger.position));
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
    TRY(EventTexts stop, texts_at(log, recent, e.stop_comment.position));
    e.stop_reason = std::move(stop.stop_comment);
    for (auto& a : e.actions) {
        TRY(EventTexts result, texts_at(log, recent, a.result.position));
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
