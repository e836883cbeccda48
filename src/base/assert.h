// ASSERT states what must hold whatever the input: a failed one is a bug, and stops the process, in release too, before a wrong
// state can be made durable.
#pragma once

namespace waybill {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace waybill

#define ASSERT(expression) ((expression) ? (void)0 : ::waybill::assertion_failed(#expression, __FILE__, __LINE__))
