// One connection of a client, as httplib reads and writes it: with a deadline for each request as a whole.
#pragma once

#include <httplib.h>

#include <memory>
#include <string>
#include <vector>

#include "dinomaly/serve/serve.h"

namespace dinomaly {

class Connection : public httplib::Stream {
 public:
  // Does not own `socket`.
  explicit Connection(int socket) : socket_(socket) {}

  // Waits for the first byte of a request; false where the client leaves, `patience` seconds pass or `stop`, a file
  // descriptor, can be read.
  bool wait_for_request(double patience, int stop);
  // A request begins, which may take so many seconds.
  void begin_request(double seconds);
  // Its headers have been read: from now on more may come than headers may take.
  void headers_done() { header_bytes_left_ = -1; }
  // Whether httplib has given a request up without a word since its first line is far too long.
  bool is_line_without_end() const;
  // The request has been read and judged; the answer may take so many seconds more.
  void begin_answer(double seconds);
  // Answers are sent whole before; what the client still sends is read for a moment, since the system would otherwise
  // tell it of a lost connection in place of the answer.
  void linger();

  Deadline begun() const { return begun_; }
  Deadline deadline() const { return deadline_; }
  bool timed_out() const { return timed_out_; }
  // Set by whoever answers a request without reading all of it: what follows could not be told from its rest.
  bool must_close = false;
  // Released when the answer has been sent.
  std::vector<std::shared_ptr<void>> held;

  // Without `override`: until 0.19 of httplib is_readable() and is_writable() wait; from 0.20 on wait_readable() and
  // wait_writable() do so in their place, and is_readable() says whether something was read and not taken.
  virtual bool is_readable() const;
  virtual bool is_writable() const { return wait_writable(); }
  virtual bool wait_readable() const;
  virtual bool wait_writable() const;
  virtual time_t duration() const;  // seconds since the request began; from 0.19 on
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

  // That of the calling thread's request; null outside of one.
  static Connection* current();

 private:
  friend class Listener;
  bool wait(short events) const;

  int socket_;
  Deadline begun_ = {}, deadline_ = {};
  int64_t header_bytes_left_ = 0;  // negative: no limit
  bool answered_ = false;          // something was sent
  mutable bool timed_out_ = false;
  std::string buffer_;  // read and not taken, from taken_ on
  size_t taken_ = 0;
};

}  // namespace dinomaly
