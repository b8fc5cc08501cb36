// The service in this process, on a free port of the loopback, and its clients.
#pragma once

#include <doctest/doctest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/serve/serve.h"
#include "tensor/threads.h"
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

namespace dinomaly {

// A picture whose pixels depend on `seed`.
inline Image noise_image(int64_t side, uint32_t seed) {
  Image image(side, side, 3);
  for (uint8_t& pixel : image.pixels)
    pixel = static_cast<uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
  return image;
}
inline std::string noise_png(uint32_t seed, int64_t side = 64) { return encode_png(noise_image(side, seed)); }

inline void save_small_model(const std::filesystem::path& path, double threshold, int64_t side = 56) {
  const auto model = small_model(side);
  Calibration calibration;
  calibration.all = {.image = threshold, .pixel = threshold};
  save_model(path, *model, model->encoder().config(), {.calibration = calibration});
}

inline ModelPointer load_small(const ModelShelf::Entry& entry) {
  Detector detector = load_detector(entry.file);
  const Inspection inspection = detector.calibration ? detector.calibration->inspection : Inspection{};
  OutputOptions output;
  if (detector.calibration) {
    output.image_threshold = detector.calibration->all.image,
    output.pixel_threshold = detector.calibration->all.pixel;
    output.colours = detector.calibration->colours;
  }
  return std::make_shared<const ServedModel>(entry.name, entry.file, std::move(detector), inspection, output,
                                             16);
}

// With FOLDER/a, a model of a threshold that all images of noise are above, unless `models` says otherwise.
class Service {
 public:
  explicit Service(const TemporaryFolder& folder, ServeOptions options = {},
                   std::vector<std::string> models = {})
      : shelf_(given(folder, std::move(models)), load_small,
               [this](const std::string& line) { said += line + "\n"; }) {
    options.port = 0;
    std::promise<std::string> started;
    server_ = std::thread([this, options, &started] {
      run_server(
          shelf_, options, [this] { return stop_.load(); },
          [&](const std::string& address) { started.set_value(address); });
    });
    address = started.get_future().get();
    address.pop_back();
    port = std::stoi(address.substr(address.rfind(':') + 1));
  }
  ~Service() { stop(); }
  void stop() {
    stop_ = true;
    if (server_.joinable()) server_.join();
  }

  httplib::Client client() const {
    httplib::Client client("127.0.0.1", port);
    client.set_keep_alive(true);
    client.set_read_timeout(60);
    return client;
  }
  // The number of a line of /metrics; -1 without it.
  double metric(const std::string& name) const {
    const std::string text = "\n" + client().Get("/metrics")->body;
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }
  ModelShelf& shelf() { return shelf_; }

  std::string address, said;
  int port = 0;

 private:
  static std::vector<std::string> given(const TemporaryFolder& folder, std::vector<std::string> models) {
    if (!models.empty()) return models;
    save_small_model(folder / "a", 1e-6);
    return {(folder / "a").string()};
  }

  std::atomic<bool> stop_ = false;
  ModelShelf shelf_;
  std::thread server_;
};

inline nlohmann::json json_of(const httplib::Result& result) {
  REQUIRE(result);
  return nlohmann::json::parse(result->body, nullptr, false);
}

inline httplib::Result post(const Service& service, const std::string& path, const std::string& body) {
  return service.client().Post(path, body, "application/octet-stream");
}

// A form as browsers send it; written here, since the name of httplib's own type depends on its version.
struct FormPart {
  std::string name, content, filename, content_type;
};
inline httplib::Result post_form(const Service& service, const std::string& path,
                                 const std::vector<FormPart>& parts) {
  std::string body;
  for (const FormPart& part : parts) {
    body += "--b\r\nContent-Disposition: form-data; name=\"" + part.name + "\"";
    if (!part.filename.empty()) body += "; filename=\"" + part.filename + "\"";
    if (!part.content_type.empty()) body += "\r\nContent-Type: " + part.content_type;
    body += "\r\n\r\n" + part.content + "\r\n";
  }
  return service.client().Post(path, body + "--b--\r\n", "multipart/form-data; boundary=b");
}

// A connection that sends what no client would.
class RawConnection {
 public:
  explicit RawConnection(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in place{};
    place.sin_family = AF_INET, place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    place.sin_port = htons(static_cast<uint16_t>(port));
    REQUIRE(connect(socket_, reinterpret_cast<sockaddr*>(&place), sizeof place) == 0);
  }
  ~RawConnection() { close(socket_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  bool send_text(const std::string& text) {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // All that comes until the server closes the connection.
  std::string all() {
    std::string text;
    char buffer[4096];
    for (ssize_t count; (count = recv(socket_, buffer, sizeof buffer, 0)) > 0;)
      text.append(buffer, static_cast<size_t>(count));
    return text;
  }

 private:
  int socket_;
};

inline std::string head_of_post(size_t length, const std::string& more = "") {
  return "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more +
         "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

// Of an answer that comes before the body was read: some versions of httplib's client then give up (0.30).
inline int status_of_post(const Service& service, const std::string& path, const std::string& body) {
  RawConnection raw(service.port);
  raw.send_text("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
  const std::string answer = raw.all();
  return answer.starts_with("HTTP/1.1 ") ? std::stoi(answer.substr(9, 3)) : 0;
}

// The address that `dinomaly serve` prints.
inline std::string address_of(const Child& child) {
  std::string address;
  REQUIRE(wait_until([&] {
    std::smatch found;
    const std::string out = child.has_output() ? child.out() : "";
    if (std::regex_search(out, found, std::regex("http://127.0.0.1:[0-9]+"))) address = found[0];
    return !address.empty();
  }));
  return address;
}

// While it lives, models compute with so many threads.
class Threads {
 public:
  explicit Threads(int count) : before_(nabla::num_threads()) { nabla::set_num_threads(count); }
  ~Threads() { nabla::set_num_threads(before_); }

 private:
  int before_;
};

}  // namespace dinomaly
