#include "dinomaly/serve/listener.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

constexpr double idle_seconds = 15;       // that a connection may be open between requests
constexpr int most_requests = 10000;      // of a connection
constexpr int backlog = 1024;             // connections that nobody has accepted yet
constexpr int64_t threads_to_refuse = 4;  // for connections beyond the limit

thread_local Connection* connection_of_thread = nullptr;

}  // namespace

Connection* Connection::current() { return connection_of_thread; }

Listener::Listener(double request_seconds, int64_t most_connections)
    : request_seconds_(request_seconds),
      most_connections_(most_connections),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  check(stop_ >= 0, "eventfd: {}", std::strerror(errno));
  set_tcp_nodelay(true);
  set_keep_alive_max_count(most_requests);
  set_keep_alive_timeout(static_cast<time_t>(idle_seconds));
  set_socket_options([this](socket_t socket) {
    const int yes = 1;  // not SO_REUSEPORT: a second server on this port is a mistake
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    listening_ = socket;
  });
  // A connection keeps its thread. They cost nothing while they wait.
  new_task_queue = [this] {
    return new httplib::ThreadPool(static_cast<size_t>(most_connections_ + threads_to_refuse));
  };
}

Listener::~Listener() { close(stop_); }

int Listener::bind_address(const std::string& host, int port) {
  errno = 0;
  const int bound = port == 0 ? bind_to_any_port(host) : bind_to_port(host, port) ? port : -1;
  check_input(bound > 0, "--host, --port: {}:{} cannot be listened on: {}", printable(host), port,
              errno != 0 ? std::strerror(errno) : "no address of this machine");
  // httplib's five would make clients wait a second where several come at once.
  if (listening_ >= 0) ::listen(listening_, backlog);
  return bound;
}

void Listener::run() { listen_after_bind(); }

void Listener::finish() {
  finishing_ = true;
  const uint64_t one = 1;
  static_cast<void>(!write(stop_, &one, sizeof one));
  stop();
}

bool Listener::process_and_close_socket(socket_t socket) {
  Connection connection(socket);
  if (++connections_ > most_connections_)
    turn_away(connection, "503 Service Unavailable\r\nRetry-After: 1", "too many connections");
  else
    serve(connection);
  --connections_;
  shutdown(socket, SHUT_RDWR);
  close(socket);
  return true;
}

// Without httplib.
void Listener::turn_away(Connection& connection, const std::string& status, const std::string& why) {
  const std::string body = fmt::format("{{\"error\":\"{}\"}}\n", why);
  const std::string answer = fmt::format(
      "HTTP/1.1 {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: "
      "{}\r\n\r\n{}",
      status, body.size(), body);
  connection.begin_answer(0.1);
  connection.write(answer.data(), answer.size());
  connection.linger();
}

bool Listener::answer_one(Connection& connection, bool last, bool& closed) {
  const auto set_up = [&](httplib::Request& request) {
    connection.headers_done();
    // Pictures gain nothing by it, and parts of an answer are nothing to ask for.
    for (const char* name : {"Accept-Encoding", "Range"}) request.headers.erase(name);
    request.ranges.clear();
  };
  // From 0.18 on it wants the addresses as well, which nobody here asks for.
  const auto process = [&](auto& self) {
    if constexpr (requires { self.process_request(connection, last, closed, set_up); })
      return self.process_request(connection, last, closed, set_up);
    else
      return self.process_request(connection, "", 0, "", 0, last, closed, set_up);
  };
  return process(*this);
}

void Listener::serve(Connection& connection) {
  connection_of_thread = &connection;
  for (int count = 1; connection.wait_for_request(idle_seconds, stop_); ++count) {
    connection.begin_request(request_seconds_);
    const bool last = count == most_requests || finishing_;
    bool closed = false;
    const bool done = answer_one(connection, last, closed);
    connection.held.clear();
    if (done && !last && !closed && !connection.must_close && !connection.timed_out()) continue;
    if (!done && connection.is_line_without_end())
      turn_away(connection, "414 URI Too Long", long_address);
    else if (connection.must_close || !done)
      connection.linger();
    break;
  }
  connection_of_thread = nullptr;
}

}  // namespace dinomaly
