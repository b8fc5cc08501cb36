#include <chrono>
#include <thread>

#include "dinomaly/base/framework.h"
#include "dinomaly/serve/listener.h"
#include "dinomaly/serve/routes.h"
#include "dinomaly/serve/serve.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// A thread that answers; its end answers what is in flight.
class Answering {
 public:
  explicit Answering(Listener& listener) : listener_(listener), thread_([&] { listener_.run(); }) {
    while (!listener.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~Answering() {
    listener_.finish();
    thread_.join();
  }
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

 private:
  Listener& listener_;
  std::thread thread_;
};

}  // namespace

void check_can_serve() {}

void run_server(ModelShelf& models, const ServeOptions& options, const std::function<bool()>& stopped,
                const std::function<void(const std::string& address)>& started) {
  check_serve_options(options);
  // The queue, not the connections, is what says that there is too much.
  constexpr int64_t idle_connections = 64, most_connections = 900;
  Listener listener(options.timeout, std::min(2 * options.queue + idle_connections, most_connections));
  const Routes routes(listener, models, options);
  const int port = listener.bind_address(options.host, options.port);
  {
    const Answering answering(listener);
    const bool six = options.host.find(':') != std::string::npos;
    started(fmt::format("http://{}{}{}:{}/", six ? "[" : "", options.host, six ? "]" : "", port));
    while (!stopped() && routes.device_fault().empty())
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (const std::string fault = routes.device_fault(); !fault.empty()) throw DeviceFault(fault);
}

}  // namespace dinomaly
