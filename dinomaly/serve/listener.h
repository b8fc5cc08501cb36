// The sockets: httplib's server, with connections of our own.
#pragma once

#include <httplib.h>

#include <atomic>
#include <functional>
#include <string>

#include "dinomaly/serve/connection.h"

namespace dinomaly {

inline constexpr const char* long_address = "the address is too long";

// httplib alone bounds neither the time of a request (only that between two bytes) nor the connections that wait for a thread,
// and keeps a connection open behind an answer to a request that it has not read.
class Listener : public httplib::Server {
 public:
  // At most so many connections are open; a further one is told to come back.
  Listener(double request_seconds, int64_t most_connections);
  ~Listener() override;

  // The port. Throws InputError where the address cannot be listened on.
  int bind_address(const std::string& host, int port);
  // Answers until finish(), which another thread calls, once all requests that have begun are answered.
  void run();
  void finish();
  bool is_finishing() const { return finishing_; }
  int64_t connections() const { return connections_; }

 private:
  bool process_and_close_socket(socket_t socket) override;
  void serve(Connection& connection);
  // One request on the connection, as httplib reads and answers it.
  bool answer_one(Connection& connection, bool last, bool& closed);
  void turn_away(Connection& connection, const std::string& status, const std::string& why);

  const double request_seconds_;
  const int64_t most_connections_;
  int listening_ = -1, stop_;  // file descriptors; `stop_` can be read once finish() was called
  std::atomic<int64_t> connections_ = 0;
  std::atomic<bool> finishing_ = false;
};

}  // namespace dinomaly
