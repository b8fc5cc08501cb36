#include "dinomaly/serve/connection.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace dinomaly {

namespace {

constexpr int64_t most_header_bytes = 64 << 10;
constexpr size_t buffer_bytes = 16 << 10;

template <class Stream>
constexpr bool has_wait_readable = requires(const Stream& stream) {
  stream.wait_readable();
};
constexpr bool is_readable_waits = !has_wait_readable<httplib::Stream>;

ServeClock::duration in_seconds(double seconds) {
  return std::chrono::duration_cast<ServeClock::duration>(std::chrono::duration<double>(seconds));
}

// For poll(); at least 0, rounded up.
int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - ServeClock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

void address_of(int socket, bool remote, std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const auto ask = remote ? getpeername : getsockname;
  if (ask(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto* four = reinterpret_cast<const sockaddr_in*>(&address);
    inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
    port = ntohs(four->sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&address);
    inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
    port = ntohs(six->sin6_port);
  }
  ip = text;
}

}  // namespace

bool Connection::wait_for_request(double patience, int stop) {
  if (taken_ < buffer_.size()) return true;
  const Deadline until = ServeClock::now() + in_seconds(patience);
  for (;;) {
    pollfd events[2] = {{socket_, POLLIN, 0}, {stop, POLLIN, 0}};
    const int count = poll(events, 2, milliseconds_until(until));
    if (count < 0 && errno == EINTR) continue;
    if (count > 0 && events[0].revents != 0) {  // the end can be read, too
      char byte = 0;
      return recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    }
    return false;
  }
}

void Connection::begin_request(double seconds) {
  begun_ = ServeClock::now();
  deadline_ = begun_ + in_seconds(seconds);
  header_bytes_left_ = most_header_bytes;
  answered_ = false;
}

bool Connection::is_line_without_end() const {
  return !answered_ && !timed_out_ && header_bytes_left_ >= 0 &&
         most_header_bytes - header_bytes_left_ > CPPHTTPLIB_REQUEST_URI_MAX_LENGTH;
}

void Connection::begin_answer(double seconds) { deadline_ = ServeClock::now() + in_seconds(seconds); }

void Connection::linger() {
  shutdown(socket_, SHUT_WR);
  deadline_ = ServeClock::now() + std::chrono::seconds(1);
  char rest[buffer_bytes];
  for (int64_t left = int64_t{8} << 20; left > 0 && wait(POLLIN);) {
    const ssize_t count = recv(socket_, rest, sizeof rest, MSG_DONTWAIT);
    if (count <= 0) return;
    left -= count;
  }
}

bool Connection::wait(short events) const {
  for (;;) {
    pollfd event{socket_, events, 0};
    const int count = poll(&event, 1, milliseconds_until(deadline_));
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) timed_out_ = true;
    return count > 0;
  }
}

bool Connection::is_readable() const {
  return taken_ < buffer_.size() || (is_readable_waits && wait(POLLIN));
}
bool Connection::wait_readable() const { return taken_ < buffer_.size() || wait(POLLIN); }
bool Connection::wait_writable() const { return wait(POLLOUT); }
time_t Connection::duration() const {
  return std::chrono::duration_cast<std::chrono::seconds>(ServeClock::now() - begun_).count();
}

ssize_t Connection::read(char* to, size_t size) {
  if (taken_ == buffer_.size()) {
    // A sender of a byte a second would never let poll() wait in vain.
    if (ServeClock::now() >= deadline_) timed_out_ = true;
    if (timed_out_ || !wait(POLLIN)) return -1;
    buffer_.resize(buffer_bytes);
    taken_ = 0;
    const ssize_t count = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    buffer_.resize(count > 0 ? static_cast<size_t>(count) : 0);
    if (count <= 0) return count;
  }
  size_t count = std::min(size, buffer_.size() - taken_);
  if (header_bytes_left_ >= 0) {
    if (header_bytes_left_ == 0) return -1;
    count = std::min(count, static_cast<size_t>(header_bytes_left_));
    header_bytes_left_ -= static_cast<int64_t>(count);
  }
  std::copy_n(buffer_.data() + taken_, count, to);
  taken_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* from, size_t size) {
  if (ServeClock::now() >= deadline_ || !wait(POLLOUT)) return -1;
  answered_ = true;
  return send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  address_of(socket_, true, ip, port);
}
void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  address_of(socket_, false, ip, port);
}

}  // namespace dinomaly
