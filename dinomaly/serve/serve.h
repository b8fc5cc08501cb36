// A trained detector as a service over HTTP.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "dinomaly/serve/models.h"

namespace dinomaly {

using ServeClock = std::chrono::steady_clock;
using Deadline = ServeClock::time_point;

struct ServeOptions {
  std::string host = "127.0.0.1";
  int port = 8080;                        // 0: any that is free
  std::optional<std::string> token = {};  // what "Authorization: Bearer" must say; none: everybody may ask
  std::optional<double> batch_wait = {};  // milliseconds; none: 2 on a GPU, 0 on a CPU
  int64_t queue = 128;                    // images that are waiting or being judged
  int64_t max_body = int64_t{64} << 20;   // bytes of a request
  int64_t max_pixels = int64_t{1} << 25;  // of an image
  double timeout = 30;                    // seconds, from a request's first byte to its answer
  std::filesystem::path feedback =
      {};                          // folder for good images that were called anomalous; empty: none are taken
  int64_t feedback_limit = 10000;  // images in it, of each model
  std::string version = {};
};

// Throws InputError where this program was built without a server.
void check_can_serve();

// Whether only programs of this machine reach the address.
bool is_loopback(const std::string& host);

// Throws InputError naming the flag of a value that is out of range, and of an address beyond loopback without a token.
void check_serve_options(const ServeOptions& options);

// Listens, calls `started` with the address ("http://127.0.0.1:8080/") and answers until `stopped` holds, which is asked
// every few milliseconds; then takes no more connections and returns once what is in flight has been answered. Throws
// InputError where the address cannot be listened on, and, once what is in flight has been answered, the DeviceFault of a GPU
// that has failed: only a new process can use it again.
void run_server(ModelShelf& models, const ServeOptions& options, const std::function<bool()>& stopped,
                const std::function<void(const std::string& address)>& started);

}  // namespace dinomaly
