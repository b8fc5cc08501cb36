// In place of the server where the program is built without cpp-httplib.
#include "dinomaly/base/framework.h"
#include "dinomaly/serve/serve.h"
#include "tensor/error.h"

namespace dinomaly {

void check_can_serve() {
  fail_input(
      "serve: this program was built without cpp-httplib and has no server; install libcpp-httplib-dev (0.11 "
      "to 0.53) and build it again (-DDINOMALY_SERVE=ON)");
}

void run_server(ModelShelf&, const ServeOptions&, const std::function<bool()>&,
                const std::function<void(const std::string&)>&) {
  check_can_serve();
}

}  // namespace dinomaly
