// The coroutine type of the edges: what a request handler returns and awaits. A Task runs on the thread of the connection that
// owns it and nowhere else, so two statements of one handler never race; other threads hand results in through http/wait.h.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace waybill::http {

template <class T>
using Task = boost::asio::awaitable<T>;

}  // namespace waybill::http
