#include <arpa/inet.h>

#include <cmath>

#include "dinomaly/base/framework.h"
#include "dinomaly/serve/serve.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

bool is_loopback(const std::string& host) {
  in_addr four{};
  in6_addr six{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six);
  return host == "localhost";
}

void check_serve_options(const ServeOptions& options) {
  const auto positive = [](const char* flag, int64_t value, int64_t most) {
    check_input(value >= 1 && value <= most, "{}: {} is not within 1..{}", flag, value, most);
  };
  check_input(options.port >= 0 && options.port <= 65535, "--port: {} is not within 0..65535", options.port);
  positive("--queue", options.queue, 4096);
  positive("--max-body", options.max_body, int64_t{1} << 31);
  positive("--max-pixels", options.max_pixels, int64_t{1} << 26);
  positive("--feedback-limit", options.feedback_limit, int64_t{1} << 31);
  check_input(options.timeout >= 0.1 && options.timeout <= 3600,
              "--timeout: {} is not within 0.1..3600 seconds", options.timeout);
  const double wait = options.batch_wait.value_or(0);
  check_input(wait >= 0 && wait <= 10000, "--batch-wait: {} is not within 0..10000 milliseconds", wait);
  check_input(options.token || is_loopback(options.host),
              "--host: {} can be reached from outside; give --token FILE, whose line clients must send",
              printable(options.host));
}

}  // namespace dinomaly
