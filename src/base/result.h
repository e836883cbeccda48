// Expected failure as a value. A function that can fail for a reason outside the program returns Result<T>; a bug is an ASSERT.
// Error kinds say what the caller may do about it, never where it came from; AWS's error codes exist only in src/wire.
// Nothing here throws. A library that throws is wrapped where it is called.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace waybill {

enum class ErrorKind {
    invalid,      // the input breaks a rule: the message names the field and the rule; do not repeat as it is
    not_found,    // the thing named does not exist
    conflict,     // the thing exists in a state that forbids this
    overloaded,   // a stated limit is reached for now: repeat later
    unavailable,  // something outside did not answer: repeat later
    corrupt,      // bytes on disk are not what was written: stop and inspect
    unsupported,  // known, but not built in
};

std::string_view to_string(ErrorKind kind);

struct Error {
    ErrorKind kind = ErrorKind::invalid;
    std::string message;  // what was wrong, where, and what would be right

    // Adds what the caller was doing, in front: "opening segment 12: no such file".
    Error in(std::string_view context) && {
        message.insert(0, ": ").insert(0, context);
        return std::move(*this);
    }
};

inline Error invalid(std::string message) { return {ErrorKind::invalid, std::move(message)}; }
inline Error not_found(std::string message) { return {ErrorKind::not_found, std::move(message)}; }
inline Error conflict(std::string message) { return {ErrorKind::conflict, std::move(message)}; }
inline Error overloaded(std::string message) { return {ErrorKind::overloaded, std::move(message)}; }
inline Error unavailable(std::string message) { return {ErrorKind::unavailable, std::move(message)}; }
inline Error corrupt(std::string message) { return {ErrorKind::corrupt, std::move(message)}; }
inline Error unsupported(std::string message) { return {ErrorKind::unsupported, std::move(message)}; }

template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }
    T& value() & { ASSERT(ok()); return std::get<0>(state_); }
    const T& value() const& { ASSERT(ok()); return std::get<0>(state_); }
    T&& value() && { ASSERT(ok()); return std::get<0>(std::move(state_)); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    Error& error() & { ASSERT(!ok()); return std::get<1>(state_); }
    const Error& error() const& { ASSERT(!ok()); return std::get<1>(state_); }
    Error&& error() && { ASSERT(!ok()); return std::get<1>(std::move(state_)); }

private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    bool ok() const { return !error_; }
    explicit operator bool() const { return ok(); }
    Error& error() & { ASSERT(!ok()); return *error_; }
    const Error& error() const& { ASSERT(!ok()); return *error_; }
    Error&& error() && { ASSERT(!ok()); return std::move(*error_); }

private:
    std::optional<Error> error_;
};

}  // namespace waybill

// TRY(auto x, f()): x is f's value, or the enclosing function returns f's error. TRY_VOID(f()) for Result<void>. CO_ twins for coroutines.
#define WAYBILL_CONCAT_(a, b) a##b
#define WAYBILL_CONCAT(a, b) WAYBILL_CONCAT_(a, b)
#define WAYBILL_TRY_(tmp, ret, decl, expr)          \
    auto tmp = (expr);                              \
    if (!tmp.ok()) ret std::move(tmp).error();      \
    decl = std::move(tmp).value()
#define TRY(decl, ...) WAYBILL_TRY_(WAYBILL_CONCAT(try_, __LINE__), return, decl, (__VA_ARGS__))
#define CO_TRY(decl, ...) WAYBILL_TRY_(WAYBILL_CONCAT(try_, __LINE__), co_return, decl, (__VA_ARGS__))
#define TRY_VOID(...)                                                                                  \
    if (auto WAYBILL_CONCAT(try_, __LINE__) = (__VA_ARGS__); !WAYBILL_CONCAT(try_, __LINE__).ok())     \
    return std::move(WAYBILL_CONCAT(try_, __LINE__)).error()
#define CO_TRY_VOID(...)                                                                               \
    if (auto WAYBILL_CONCAT(try_, __LINE__) = (__VA_ARGS__); !WAYBILL_CONCAT(try_, __LINE__).ok())     \
    co_return std::move(WAYBILL_CONCAT(try_, __LINE__)).error()
