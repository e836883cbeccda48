// Bytes in and out: a little-endian writer and a bounds-checked reader, used for everything that is kept on disk.
// A ByteReader never reads past its end: after the first short read it is failed(), and every later read yields zero or empty, so a
// decoder reads all its fields and asks once.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace waybill {

class ByteWriter {
public:
    explicit ByteWriter(std::string& out) : out_(out) {}

    void u8(uint8_t v) { out_.push_back(static_cast<char>(v)); }
    void u16(uint16_t v) { fixed(&v, sizeof v); }
    void u32(uint32_t v) { fixed(&v, sizeof v); }
    void u64(uint64_t v) { fixed(&v, sizeof v); }
    void varint(uint64_t v) {
        while (v >= 0x80) {
            u8(static_cast<uint8_t>(v) | 0x80);
            v >>= 7;
        }
        u8(static_cast<uint8_t>(v));
    }
    // Zig-zag, so that small negative numbers stay small.
    void svarint(int64_t v) { varint((static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63)); }
    void text(std::string_view v) {
        varint(v.size());
        out_.append(v);
    }
    void raw(std::string_view v) { out_.append(v); }
    size_t size() const { return out_.size(); }

private:
    void fixed(const void* p, size_t n) { out_.append(static_cast<const char*>(p), n); }
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the log's integers are little-endian");
    std::string& out_;
};

class ByteReader {
public:
    explicit ByteReader(std::string_view in) : p_(in.data()), end_(in.data() + in.size()) {}

    uint8_t u8() { return fixed<uint8_t>(); }
    uint16_t u16() { return fixed<uint16_t>(); }
    uint32_t u32() { return fixed<uint32_t>(); }
    uint64_t u64() { return fixed<uint64_t>(); }
    uint64_t varint() {
        uint64_t v = 0;
        for (unsigned shift = 0; shift < 64 && p_ < end_; shift += 7) {
            uint8_t b = static_cast<uint8_t>(*p_++);
            v |= static_cast<uint64_t>(b & 0x7f) << shift;
            if (!(b & 0x80)) return v;
        }
        fail();
        return 0;
    }
    int64_t svarint() {
        uint64_t v = varint();
        return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
    }
    std::string_view text() { return raw(varint()); }
    std::string_view raw(uint64_t n) {
        if (n > static_cast<uint64_t>(end_ - p_)) {
            fail();
            return {};
        }
        std::string_view v(p_, n);
        p_ += n;
        return v;
    }
    size_t left() const { return static_cast<size_t>(end_ - p_); }
    bool failed() const { return failed_; }
    // True when everything was read and nothing was short: what a decoder returns.
    bool complete() const { return !failed_ && p_ == end_; }

private:
    template <class T>
    T fixed() {
        T v{};
        if (left() < sizeof v) {
            fail();
            return v;
        }
        std::memcpy(&v, p_, sizeof v);
        p_ += sizeof v;
        return v;
    }
    void fail() {
        failed_ = true;
        p_ = end_;
    }
    const char* p_;
    const char* end_;
    bool failed_ = false;
};

std::string to_hex(std::string_view bytes);
std::string to_base64(std::string_view bytes);

}  // namespace waybill
