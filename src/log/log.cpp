#include "log/log.h"

#include <fmt/format.h>

#include <algorithm>

#include "world/random.h"

namespace waybill::log {

namespace {

constexpr size_t kept_buffer_bytes = size_t{4} << 20;  // a sync's buffer is kept for the next one up to this size

Position first_frame(const Segment& segment) { return segment.first() + segment_header_bytes; }

Result<void> check(const Options& o) {
    if (o.segment_bytes < min_segment_bytes || o.segment_bytes > max_segment_bytes || o.segment_bytes % segment_header_bytes != 0)
        return invalid(fmt::format("segment_bytes is {}; it must be a multiple of 4096 from {} to {}", o.segment_bytes, min_segment_bytes,
                                   max_segment_bytes));
    if (o.reserve_bytes > max_segment_bytes)
        return invalid(fmt::format("reserve_bytes is {}; at most {} can be kept", o.reserve_bytes, max_segment_bytes));
    return {};
}

}  // namespace

Log::Log(world::Disk& disk, std::string directory, Options options)
    : disk_(disk), directory_(std::move(directory)), options_(std::move(options)) {}

Log::~Log() = default;

Result<std::unique_ptr<Log>> Log::open(world::Disk& disk, std::string directory, Options options) {
    TRY_VOID(check(options));
    TRY_VOID(disk.make_directories(directory));
    auto log = std::unique_ptr<Log>(new Log(disk, std::move(directory), std::move(options)));
    TRY(log->lock_, disk.lock_directory(log->directory_));
    TRY_VOID(log->recover());
    return log;
}

// The order matters: nothing is changed before the whole has been found sound, and nothing is durable before all was synced.
Result<void> Log::recover() {
    TRY(Directory found, open_directory(disk_, directory_, world::OpenMode::read_write));
    if (found.segments.empty()) {
        opening_.created = true;
        log_id_ = options_.log_id;
        world::RealRandom random;
        while (log_id_ == 0) log_id_ = random.next();
    } else {
        log_id_ = found.segments.front()->header().log_id;
    }
    salt_ = salt_of(log_id_);

    Tail tail;
    if (!found.segments.empty()) {
        TRY(tail, find_tail(found.segments));
        if (tail.damage) return corrupt_here(tail.position, *tail.damage);
        if (found.closed && *found.closed != tail.position)
            return corrupt_here(std::min(tail.position, *found.closed),
                                fmt::format("the log was closed at position {}, and what is there ends at {}", *found.closed, tail.position));
        opening_.clean = found.closed.has_value();
    }

    for (auto* names : {&found.temporary, &found.superseded}) {
        for (const std::string& name : *names) {
            TRY_VOID(disk_.remove(directory_ + "/" + name));
            opening_.tidied.push_back(name);
        }
    }
    if (found.segments.empty()) {
        SegmentHeader header{0, options_.segment_bytes, 0, log_id_};
        TRY(auto segment, Segment::create(disk_, directory_, header));
        found.segments.push_back(std::move(segment));
        tail.position = first_frame(*found.segments[0]);
    } else {
        TRY_VOID(cut(tail, found));
    }
    // Only now: from here on the log may grow. Names that an earlier process changed without syncing become durable with this, too.
    if (found.closed) TRY_VOID(disk_.remove(directory_ + "/" + std::string(closed_name)));
    TRY_VOID(disk_.sync_directory(directory_));

    const Segment& active = *found.segments[tail.segment];
    parts_.push_back({active.first(), active.end() - active.first(), tail.position, {}});
    tail_ = tail.position;
    publish(std::move(found.segments));
    durable_.store(tail_, std::memory_order_release);
    return {};
}

Result<void> Log::cut(Tail& tail, Directory& found) {
    Segment& active = *found.segments[tail.segment];
    TRY_VOID(active.reserve());
    static const std::string zeros(size_t{1} << 20, '\0');
    for (Position at = tail.position; at < tail.garbage_end;) {
        size_t n = std::min<uint64_t>(zeros.size(), tail.garbage_end - at);
        TRY_VOID(active.write(at - active.first(), std::string_view(zeros).substr(0, n)));
        at += n;
    }
    opening_.cut_bytes = tail.garbage_end - tail.position;
    // The last batch is written once more: its pages may be ones that a failed sync has left marked as clean.
    Segment& holder = *found.segments[tail.batch_segment];
    if (!holder.compressed()) {
        Position batch_end = tail.batch_segment == tail.segment ? tail.position : holder.end();
        std::string bytes;
        for (Position at = tail.last_batch; at < batch_end; at += bytes.size()) {
            bytes.resize(std::min<uint64_t>(size_t{1} << 20, batch_end - at));
            TRY(size_t got, holder.read(at - holder.first(), bytes.data(), bytes.size(), nullptr));
            bytes.resize(got);
            if (got == 0) break;
            TRY_VOID(holder.write(at - holder.first(), bytes));
        }
        TRY_VOID(holder.sync());
    }
    TRY_VOID(active.sync());
    // Reserved segments behind the tail: as large as today's options say, or made anew when they are needed.
    while (found.segments.size() > tail.segment + 1 &&
           std::any_of(found.segments.begin() + static_cast<ptrdiff_t>(tail.segment) + 1, found.segments.end(),
                       [&](const auto& s) { return s->end() - s->first() != options_.segment_bytes; })) {
        TRY_VOID(disk_.remove(directory_ + "/" + segment_name(found.segments.back()->first(), false)));
        TRY_VOID(disk_.sync_directory(directory_));
        found.segments.pop_back();
    }
    for (size_t i = tail.segment + 1; i < found.segments.size(); ++i) TRY_VOID(found.segments[i]->reserve());
    return {};
}

// --- the sequencer's thread ---

bool Log::fits(size_t payload_bytes) const {
    const Part& part = parts_.back();
    return tail_ + frame_bytes(payload_bytes) + frame_header_bytes <= part.first + part.capacity;
}

Position Log::prepare(size_t payload_bytes) {
    ASSERT(!closed_);
    ASSERT(payload_bytes <= max_payload());
    if (!fits(payload_bytes)) {
        Part& full = parts_.back();
        if (full.bytes.empty()) full.at = tail_;
        append_frame(full.bytes, salt_, FrameKind::seal, tail_, full.at, last_time_, {});
        Position first = full.first + full.capacity;
        tail_ = first + segment_header_bytes;
        parts_.push_back({first, options_.segment_bytes, tail_, {}});
        ASSERT(fits(payload_bytes));
    }
    return tail_;
}

Position Log::append(TimeMs time, std::string_view payload) {
    last_time_ = time;
    prepare(payload.size());
    Part& part = parts_.back();
    if (part.bytes.empty()) part.at = tail_;
    Position position = tail_;
    append_frame(part.bytes, salt_, FrameKind::group, position, part.at, time, payload);
    tail_ += frame_bytes(payload.size());
    return position;
}

size_t Log::buffered_bytes() const {
    size_t sum = 0;
    for (const Part& part : parts_) sum += part.bytes.size();
    return sum;
}

Result<void> Log::sync() {
    if (failed_) return *failed_;
    if (parts_.size() == 1 && parts_.front().bytes.empty()) return {};
    // All the room first, so that a full disk is found out before anything is written.
    for (size_t i = 1; i < parts_.size(); ++i) {
        auto made = ensure_segment(parts_[i].first, last_time_);
        if (made.ok()) continue;
        if (made.error().kind != ErrorKind::overloaded) failed_ = made.error();
        return std::move(made).error();
    }
    SegmentList list = segments();
    for (const Part& part : parts_) {
        if (part.bytes.empty()) continue;
        auto segment = segment_at(*list, part.first);
        auto wrote = segment->write(part.at - part.first, part.bytes);
        if (wrote.ok()) wrote = segment->sync();
        if (!wrote.ok()) {
            // Also a full disk, which reserved room does not have: a part may have been written.
            failed_ = unavailable(fmt::format("the log cannot be written: {}; what reached the disk is unknown, so the process must end; "
                                              "starting again recovers",
                                              wrote.error().message));
            return *failed_;
        }
        syncs_.fetch_add(1, std::memory_order_relaxed);
    }
    if (parts_.size() > 1) parts_.erase(parts_.begin(), parts_.end() - 1);
    std::string& bytes = parts_.front().bytes;
    if (bytes.capacity() > kept_buffer_bytes) bytes = {};
    bytes.clear();
    durable_.store(tail_, std::memory_order_release);
    return {};
}

bool Log::accepts_events() const {
    if (!starved_.load(std::memory_order_acquire)) return true;
    Position end = reserved_end_.load(std::memory_order_acquire);
    return end >= tail_ && end - tail_ >= options_.reserve_bytes;
}

Result<void> Log::close() {
    ASSERT(!closed_);
    TRY_VOID(sync());
    std::string path = directory_ + "/" + std::string(closed_name);
    {
        TRY(auto file, disk_.open(path + ".tmp", world::OpenMode::create));
        TRY_VOID(file->write_at(0, encode_closed(log_id_, tail_)));
        TRY_VOID(file->sync_data());
    }
    TRY_VOID(disk_.rename(path + ".tmp", path));
    TRY_VOID(disk_.sync_directory(directory_));
    closed_ = true;
    return {};
}

// --- segments, shared ---

Log::SegmentList Log::segments() const {
    std::lock_guard lock(list_mutex_);
    return segments_;
}

void Log::publish(Segments list) {
    ASSERT(!list.empty());
    Position end = list.back()->end();
    auto next = std::make_shared<const Segments>(std::move(list));
    std::lock_guard lock(list_mutex_);
    segments_.swap(next);
    reserved_end_.store(end, std::memory_order_release);
}

std::shared_ptr<Segment> Log::segment_at(const Segments& list, Position position) const {
    auto after = std::upper_bound(list.begin(), list.end(), position, [](Position p, const auto& s) { return p < s->first(); });
    if (after == list.begin() || position >= (*std::prev(after))->end()) return nullptr;
    return *std::prev(after);
}

// The list is changed by the sequencer (here), and by maintenance (here and below), always under create_mutex_, so that no change is lost.
Result<std::shared_ptr<Segment>> Log::ensure_segment(Position first, TimeMs created) {
    std::lock_guard lock(create_mutex_);
    SegmentList list = segments();
    if (auto there = segment_at(*list, first)) return there;
    ASSERT(list->back()->end() == first);
    auto made = Segment::create(disk_, directory_, {first, options_.segment_bytes, created, log_id_});
    if (!made.ok()) {
        if (made.error().kind == ErrorKind::overloaded) starved_.store(true, std::memory_order_release);
        return std::move(made).error();
    }
    Segments longer = *list;
    longer.push_back(*made);
    publish(std::move(longer));
    starved_.store(false, std::memory_order_release);
    return std::move(made).value();
}

Error Log::corrupt_here(Position position, std::string_view what) const {
    return corrupt_at(position, what, options_.data_directory.empty() ? directory_ : options_.data_directory);
}

// --- any thread ---

Position Log::begin() const { return first_frame(*segments()->front()); }

std::vector<Position> Log::segment_starts() const {
    const SegmentList list = segments();
    std::vector<Position> starts;
    for (const auto& segment : *list) starts.push_back(first_frame(*segment));
    return starts;
}

Result<Position> Log::scan_with(Position from, Position to, bool (*fn)(void*, const Group&), void* context) const {
    Position written = durable();  // before the list: what is durable is in a segment that was published earlier
    Position end = std::min(to, written);
    SegmentList list = segments();
    if (from < first_frame(*list->front()))
        return not_found(fmt::format("position {} is older than what is retained, which begins at {}", from, first_frame(*list->front())));
    while (from < end) {
        auto segment = segment_at(*list, from);
        if (!segment || from - segment->first() < segment_header_bytes) return not_found(fmt::format("no group begins at position {}", from));
        Walker walker(*segment, from, std::min(segment->end(), written));
        bool more = true;
        while (more) {
            if (from >= end) return from;
            auto step = walker.next();
            if (!step.ok()) return std::move(step).error();
            switch (*step) {
                case Walker::Step::group:
                    from = walker.at();
                    if (!fn(context, walker.group())) return from;
                    break;
                case Walker::Step::seal:
                    from = segment->end() + segment_header_bytes;
                    more = false;
                    break;
                case Walker::Step::limit:
                    return from;
                case Walker::Step::bad:
                    return corrupt_here(walker.at(), walker.reason());
            }
        }
    }
    return from;
}

Result<Entry> Log::read(Position position) const {
    Position end = durable();
    SegmentList list = segments();
    auto none = [&] {
        return not_found(fmt::format("no group begins at position {} (the log holds {} to {})", position, first_frame(*list->front()), end));
    };
    if (position >= end || position < first_frame(*list->front()) || position % frame_alignment != 0) return none();
    auto segment = segment_at(*list, position);
    if (!segment) return none();
    uint64_t offset = position - segment->first();
    if (offset < segment_header_bytes) return none();

    // One read is enough for nearly every group.
    constexpr size_t first_read = 4096;
    std::string bytes;
    bytes.resize(std::min<uint64_t>(first_read, std::min(end, segment->end()) - position));
    TRY(size_t got, segment->read(offset, bytes.data(), bytes.size(), &cache_));
    FrameHeader header;
    if (got >= frame_header_bytes && parse_frame_header(bytes.data(), salt_, position, header)) {
        if (header.kind == FrameKind::seal) return none();
        size_t size = header.frame_size();
        bool whole = size <= got;
        if (!whole) {
            bytes.resize(size);
            TRY(size_t rest, segment->read(offset + got, bytes.data() + got, size - got, &cache_));
            whole = got + rest == size;
        }
        std::string_view body = whole ? std::string_view(bytes).substr(frame_header_bytes, size - frame_header_bytes) : std::string_view();
        if (!whole || !payload_is_whole(header, body, salt_)) return corrupt_here(position, "the payload's checksum does not match");
        return Entry{header.next(), header.time, bytes.substr(frame_header_bytes, header.length)};
    }
    // Either nothing ever began here, or what did is damaged: the frames before it tell.
    Walker walker(*segment, first_frame(*segment), std::min(segment->end(), end));
    for (;;) {
        TRY(auto step, walker.next());
        if (step == Walker::Step::bad) return corrupt_here(walker.at(), walker.reason());
        if (step != Walker::Step::group || walker.at() > position) return none();
    }
}

Stat Log::stat() const {
    Stat s;
    s.durable = durable();
    SegmentList list = segments();
    s.begin = first_frame(*list->front());
    s.segments = list->size();
    for (const auto& segment : *list) {
        s.compressed_segments += segment->compressed();
        s.stored_bytes += segment->stored_bytes();
    }
    s.reserved_bytes = list->back()->end() - s.durable;
    s.syncs = syncs_.load(std::memory_order_relaxed);
    s.starved = starved_.load(std::memory_order_acquire);
    return s;
}

bool Log::maintenance_due() const {
    return reserved_end_.load(std::memory_order_acquire) - durable() < std::max(options_.segment_bytes, options_.reserve_bytes);
}

// --- the maintenance thread ---

Result<bool> Log::maintain(TimeMs now, Position keep_from) {
    SegmentList list = segments();
    // Behind the segment being written: one whole segment, and the reserve.
    auto active = segment_at(*list, durable());
    Position written_to = active ? active->end() : list->back()->end();
    uint64_t ahead = std::max(options_.segment_bytes, options_.reserve_bytes);
    if (list->back()->end() - written_to < ahead) {
        auto made = ensure_segment(list->back()->end(), now);
        if (made.ok()) return true;
        if (made.error().kind != ErrorKind::overloaded) return std::move(made).error();
        // A full disk: what follows may free some room.
    }
    TRY(bool removed, remove_one(*list, now, keep_from));
    if (removed) return true;
    auto compressed = compress_one(*list);
    if (!compressed.ok() && compressed.error().kind == ErrorKind::overloaded) return false;
    return compressed;
}

Result<bool> Log::remove_one(const Segments& list, TimeMs now, Position keep_from) {
    if (list.size() < 2) return false;
    const Segment& oldest = *list[0];
    if (oldest.end() > keep_from || oldest.end() > durable()) return false;
    bool remove = false;
    if (options_.retention_bytes) {
        uint64_t sum = 0;
        for (const auto& segment : list) sum += segment->stored_bytes();
        remove = sum > options_.retention_bytes;
    }
    if (!remove && options_.retention_age_ms) {
        // Times never go backwards, so the first group of the next segment is no older than any in this one.
        char head[frame_header_bytes];
        FrameHeader header;
        if (first_frame(*list[1]) < durable()) {
            TRY(size_t got, list[1]->read(segment_header_bytes, head, sizeof head, &cache_));
            if (got == sizeof head && parse_frame_header(head, salt_, first_frame(*list[1]), header))
                remove = header.time < now && now - header.time > options_.retention_age_ms;
        }
    }
    if (!remove) return false;
    {
        std::lock_guard lock(create_mutex_);
        Segments shorter = *segments();
        shorter.erase(shorter.begin());
        publish(std::move(shorter));
    }
    TRY_VOID(disk_.remove(directory_ + "/" + segment_name(oldest.first(), oldest.compressed())));
    // Before another one goes: a crash must not bring back this one without the next.
    TRY_VOID(disk_.sync_directory(directory_));
    return true;
}

Result<bool> Log::compress_one(const Segments& list) {
    if (!options_.compress) return false;
    auto at = std::find_if(list.begin(), list.end(), [](const auto& s) { return !s->compressed(); });
    if (at == list.end() || (*at)->end() > durable()) return false;
    const Segment& raw = **at;
    Walker walker(raw, first_frame(raw), raw.end());
    for (;;) {
        TRY(auto step, walker.next());
        if (step == Walker::Step::group) continue;
        if (step != Walker::Step::seal) return corrupt_here(walker.at(), walker.reason());
        break;
    }
    TRY(auto compressed, Segment::compress(disk_, directory_, raw, walker.at() - raw.first()));
    {
        std::lock_guard lock(create_mutex_);
        Segments changed = *segments();
        auto same = std::find_if(changed.begin(), changed.end(), [&](const auto& s) { return s->first() == raw.first(); });
        ASSERT(same != changed.end());
        *same = std::move(compressed);
        publish(std::move(changed));
    }
    TRY_VOID(disk_.remove(directory_ + "/" + segment_name(raw.first(), false)));
    return true;
}

}  // namespace waybill::log
