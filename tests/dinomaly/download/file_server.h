// A server of HTTP on the loopback that can be told to misbehave.
#pragma once

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dinomaly/base/framework.h"

namespace dinomaly {

struct Request {
  std::string text;  // the request's line, headers and body
  size_t from = 0;   // of "Range: bytes=FROM-"; 0 without one
  bool ranged = false;
};

struct Response {
  std::string status = "200 OK", headers = "", body = "";
  size_t sent =
      std::string::npos;  // so many bytes of the body, then the connection ends; Content-Length says all
  bool silent = false;    // nothing at all, and the connection stays
};

// Answers each connection with answer(request, its number from 0), one request each.
class FileServer {
 public:
  using Answer = std::function<Response(const Request&, int)>;
  explicit FileServer(Answer answer) : answer_(std::move(answer)), socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in place{};
    place.sin_family = AF_INET, place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof place;
    REQUIRE(bind(socket_, reinterpret_cast<sockaddr*>(&place), size) == 0);
    REQUIRE(listen(socket_, 16) == 0);
    REQUIRE(getsockname(socket_, reinterpret_cast<sockaddr*>(&place), &size) == 0);
    port_ = ntohs(place.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FileServer() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    for (const int held : held_) close(held);
    close(socket_);
  }
  FileServer(const FileServer&) = delete;
  FileServer& operator=(const FileServer&) = delete;

  std::string address(const std::string& file) const {
    return fmt::format("http://127.0.0.1:{}/{}", port_, file);
  }
  int requests() const { return requests_; }

 private:
  void serve() {
    for (int connection; (connection = accept(socket_, nullptr, nullptr)) >= 0;) {
      const Request request = read_request(connection);
      const Response response = answer_(request, requests_++);
      if (response.silent) {
        held_.push_back(connection);
        continue;
      }
      send_all(connection, "HTTP/1.1 " + response.status + "\r\nConnection: close\r\nContent-Length: " +
                               std::to_string(response.body.size()) + "\r\n" + response.headers + "\r\n" +
                               response.body.substr(0, response.sent));
      close(connection);
    }
  }

  static Request read_request(int connection) {
    Request request;
    char buffer[4096];
    while (request.text.find("\r\n\r\n") == std::string::npos) {
      const ssize_t count = recv(connection, buffer, sizeof buffer, 0);
      if (count <= 0) break;
      request.text.append(buffer, static_cast<size_t>(count));
    }
    const std::string length = "\nContent-Length: ";
    if (const size_t at = request.text.find(length); at != std::string::npos) {
      const size_t whole =
          request.text.find("\r\n\r\n") + 4 + std::stoul(request.text.substr(at + length.size()));
      while (request.text.size() < whole) {
        const ssize_t count = recv(connection, buffer, sizeof buffer, 0);
        if (count <= 0) break;
        request.text.append(buffer, static_cast<size_t>(count));
      }
    }
    const std::string name = "Range: bytes=";
    if (const size_t at = request.text.find("\n" + name); at != std::string::npos) {
      request.ranged = true;
      request.from = std::stoul(request.text.substr(at + 1 + name.size()));
    }
    return request;
  }

  static void send_all(int connection, const std::string& bytes) {
    for (size_t sent = 0; sent < bytes.size();) {
      const ssize_t count = send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return;
      sent += static_cast<size_t>(count);
    }
  }

  Answer answer_;
  int socket_, port_ = 0;
  std::atomic<int> requests_ = 0;
  std::vector<int> held_;
  std::thread thread_;
};

// `file` as a server with ranges sends it; an ETag makes it one file.
inline Response part_of(const std::string& file, const Request& request, const std::string& tag = "\"a\"") {
  const bool same = request.text.find("If-Range: " + tag) != std::string::npos;
  const std::string headers = tag.empty() ? "" : "ETag: " + tag + "\r\n";
  if (!request.ranged || !same) return {.headers = headers, .body = file};
  if (request.from >= file.size()) return {.status = "416 Range Not Satisfiable"};
  return {.status = "206 Partial Content",
          .headers = headers + fmt::format("Content-Range: bytes {}-{}/{}\r\n", request.from, file.size() - 1,
                                           file.size()),
          .body = file.substr(request.from)};
}

}  // namespace dinomaly
