// Feeds arbitrary bytes through the request reader the server uses, twice with different cuts: both must see the same requests,
// the bodies may not be longer than what came in, and the reader must stay within its bounds. It cannot generate long inputs (the
// fuzzer's own bound), so the 64 KiB limits are reached only with the small head limit used here; sockets and deadlines are not
// in it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/assert.h"
#include "http/request_reader.h"

using waybill::http::RequestReader;

static std::string read_all(std::string_view bytes, size_t step) {
    RequestReader reader(1024);
    std::string seen;
    size_t body_bytes = 0, total = bytes.size();
    bool in_body = false;
    for (;;) {
        auto outcome = RequestReader::Step::need_more;
        for (;;) {
            if (!in_body) {
                outcome = reader.next_head();
                if (outcome != RequestReader::Step::ready) break;
                auto& head = reader.head();
                seen.append(head.method()).append(head.target()).append(head.path());
                for (auto& [name, value] : head.headers()) seen.append(name).append("=").append(value).append("\n");
                for (auto& [name, value] : head.query_pairs()) seen.append(name).append("=").append(value).append("\n");
                in_body = true;
            }
            std::string_view piece;
            outcome = reader.next_body(piece);
            if (outcome != RequestReader::Step::ready) break;
            if (piece.empty()) {
                in_body = false;
                seen.append(reader.keep_alive() ? "+" : "-");
            }
            seen.append(piece);
            body_bytes += piece.size();
            ASSERT(body_bytes <= total);
        }
        if (outcome == RequestReader::Step::refused) return seen + std::to_string(reader.refusal().status);
        if (bytes.empty()) return seen;
        auto room = reader.room();
        ASSERT(room.size > 0 && room.size <= RequestReader::body_window + 1);
        size_t n = std::min({step, room.size, bytes.size()});
        std::memcpy(room.data, bytes.data(), n);
        reader.received(n);
        bytes.remove_prefix(n);
    }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::string one = read_all(bytes, 1 + data[0] % 31);
    std::string two = read_all(bytes, bytes.size() + 1);
    ASSERT(one == two);
    return 0;
}
