// Cuts a body into events as it arrives, in memory bounded by one event: NDJSON (one JSON value a line, RFC-less but universal: empty lines
// are skipped), or one JSON document that is an object or an array of objects (RFC 8259). It finds where values begin and end; whether a
// value is JSON is the EnvelopeReader's business.
//
// A value that is longer than the limit is passed over and reported as too long. What cannot be cut at all (a document that is neither an
// object nor an array, rubbish between values, an end in the middle) is a framing error, which names the byte; nothing after it is read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace waybill {

enum class Framing { ndjson, json };

struct SplitValue {
    std::string_view text;   // empty when too_long
    uint64_t index = 0;      // its place among the values, from 0
    uint64_t line = 0;       // NDJSON: its line, from 1
    uint64_t byte = 0;       // where it begins in the body
    bool too_long = false;
};

class Splitter {
public:
    // Returning false stops the splitter: feed and finish then do nothing more.
    using Sink = std::function<bool(const SplitValue&)>;

    Splitter(Framing framing, size_t max_value_bytes) : framing_(framing), max_(max_value_bytes) {}

    Result<void> feed(std::string_view piece, const Sink& sink);
    Result<void> finish(const Sink& sink);
    uint64_t bytes() const { return at_; }
    // Everything that begins before this byte has gone to the sink whole; a client that was cut off goes on from there.
    uint64_t whole() const { return whole_; }
    // Where the last framing error is.
    uint64_t error_byte() const { return error_byte_; }

private:
    enum class Place { before_document, between_values, after_comma, in_value, after_value, after_document };

    Result<void> feed_lines(std::string_view piece, const Sink& sink);
    Result<void> feed_document(std::string_view piece, const Sink& sink);
    bool emit(const Sink& sink, std::string_view tail);
    void keep(std::string_view bytes);
    Error broken(uint64_t byte, std::string_view what);

    const Framing framing_;
    const size_t max_;
    std::string held_;              // the beginning of a value that goes on in the next piece
    bool too_long_ = false, stopped_ = false;
    uint64_t at_ = 0, index_ = 0, line_ = 1, value_byte_ = 0, error_byte_ = 0, whole_ = 0;
    Place place_ = Place::before_document;
    bool array_ = false, in_string_ = false, escaped_ = false;
    uint64_t depth_ = 0;
};

}  // namespace waybill
