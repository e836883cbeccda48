// Arbitrary bytes as a log's directory: opening, reading, maintaining and inspecting it may refuse, but never crash, hang or read out of
// bounds, and a log that opens holds up what it shows.
//
// The input is a list of edits to a small, valid log (raw and compressed segments, the mark of a clean close, a snapshot), and then
// optionally whole files; so the interesting places behind the checksums are reached. It cannot generate: valid checksums of its own
// (except by keeping those of the valid log), failures of the disk, or anything that happens while the log is open.
#include <cstdint>

#include "base/bytes.h"
#include "log/inspect.h"
#include "log/log.h"
#include "log/snapshot.h"
#include "world/sim_disk.h"

namespace {

using namespace waybill;
using namespace waybill::log;
using world::OpenMode;
using world::SimDisk;

constexpr const char* dir = "log";

Options options() {
    Options o;
    o.segment_bytes = min_segment_bytes;
    o.reserve_bytes = 0;
    o.log_id = 5;
    return o;
}

// The valid log, as files.
const std::vector<std::pair<std::string, std::string>>& sound_files() {
    static const auto files = [] {
        SimDisk disk(1);
        auto log = Log::open(disk, dir, options()).value();
        for (int i = 0; i < 70; ++i) {
            log->append(i, std::string(static_cast<size_t>(i) * 40, static_cast<char>('a' + i % 26)));
            if (i % 3 == 0) ASSERT(log->sync().ok());
            if (i == 40)
                while (log->maintain(0, 0).value()) {
                }
        }
        ASSERT(log->close().ok());
        log.reset();
        ASSERT(write_snapshot(disk, dir, 4096, 1, [](SnapshotSink& sink) { return sink.write(std::string(3000, 's')); }).ok());
        std::vector<std::pair<std::string, std::string>> out;
        auto names = disk.list(dir).value();
        for (const auto& name : names) {
            auto file = disk.open(std::string(dir) + "/" + name, OpenMode::read).value();
            std::string bytes(file->size().value(), '\0');
            ASSERT(file->read_at(0, bytes.data(), bytes.size()).ok());
            out.emplace_back(name, std::move(bytes));
        }
        return out;
    }();
    return files;
}

struct Ignore final : Dump {
    bool group(const Group&) override { return true; }
    bool bad(const BadPlace& place) override {
        ASSERT(place.bytes.size() <= 256);
        return true;
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    auto files = sound_files();
    ByteReader in({reinterpret_cast<const char*>(data), size});
    while (in.left() > 0) {
        auto& [name, bytes] = files[in.u8() % files.size()];
        switch (in.u8() % 6) {
            case 0: {  // overwrite
                uint32_t at = in.u32();
                std::string_view with = in.raw(std::min<size_t>(in.u8(), in.left()));
                if (bytes.empty()) break;
                at %= bytes.size();
                bytes.replace(at, std::min(with.size(), bytes.size() - at), with.substr(0, bytes.size() - at));
                break;
            }
            case 1: bytes.resize(std::min<size_t>(bytes.size(), in.u32() % (min_segment_bytes + 1))); break;
            case 2: bytes = std::string(in.raw(std::min<size_t>(in.u16(), in.left()))); break;
            case 3: name = segment_name(in.u8() * min_segment_bytes, in.u8() % 2); break;
            case 4: name = "removed.tmp"; break;
            case 5: {  // swap two places
                uint32_t a = in.u32(), b = in.u32();
                size_t n = in.u16();
                if (bytes.empty()) break;
                a %= bytes.size(), b %= bytes.size();
                n = std::min({n, bytes.size() - a, bytes.size() - b});
                std::string moved = bytes.substr(a, n);
                bytes.replace(b, n, moved);
                break;
            }
        }
    }
    SimDisk disk(1);
    disk.set_capacity(uint64_t{8} << 20);  // a header may state a gigabyte
    ASSERT(disk.make_directories(dir).ok());
    for (const auto& [name, bytes] : files) {
        auto file = disk.open(std::string(dir) + "/" + name, OpenMode::create).value();
        ASSERT(file->write_at(0, bytes).ok());
    }
    [[maybe_unused]] auto report = verify(disk, dir, [](const SegmentReport&) { return true; });
    [[maybe_unused]] auto quick = stat_directory(disk, dir);
    Ignore ignore;
    [[maybe_unused]] auto dumped = dump(disk, dir, size, UINT64_MAX, ignore);
    if (auto found = read_newest_snapshot(disk, dir, 1); found.ok() && found->snapshot)
        while (!found->snapshot->source->next().value().empty()) {
        }

    auto opened = Log::open(disk, dir, options());
    if (!opened.ok()) return 0;
    auto& log = **opened;
    std::vector<Position> shown;
    auto end = log.scan(log.begin(), UINT64_MAX, [&](const Group& g) { return shown.push_back(g.position), true; });
    for (Position p : shown) ASSERT(log.read(p).ok());
    [[maybe_unused]] auto missing = log.read(size * 8);
    Position p = log.append(7, "new");
    if (!log.sync().ok()) return 0;
    ASSERT(log.read(p).value().payload == "new");
    for (int i = 0; i < 5; ++i) {
        auto more = log.maintain(0, 0);
        if (!more.ok() || !*more) break;
    }
    ASSERT(log.read(p).value().payload == "new");
    opened->reset();
    auto again = Log::open(disk, dir, options());
    ASSERT(again.ok());
    ASSERT((*again)->read(p).value().payload == "new");
    return 0;
}
