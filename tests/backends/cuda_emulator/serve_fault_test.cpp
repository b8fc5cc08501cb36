// A GPU that fails under the service: what was asked is answered, and the process ends, so that a new one can take its place.
#include <httplib.h>

#include <filesystem>
#include <string>

#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/serve/service.h"

namespace dinomaly {

TEST_CASE("emulated CUDA: a fault ends the service with status 3 and one line, once it has answered") {
  const std::string program = "dinomaly_emulated";
  if (!std::filesystem::exists(std::string(DINOMALY_BINARY_DIR) + "/bin/" + program))
    return skip("no program beside this test: a fault under the service");
  const TemporaryFolder folder;
  save_small_model(folder / "a", 1e-6, 28);
  Child child(folder, "serve --port 0 --device cuda " + (folder / "a").string(), program,
              "DINOMALY_EMULATED_FAULT=1500");
  httplib::Client client(address_of(child));
  client.set_read_timeout(60);
  int status = 200;
  for (int i = 0; i < 100 && status == 200; ++i) {
    const auto answer = client.Post("/predict", noise_png(1), "image/png");
    REQUIRE(answer);
    status = answer->status;
  }
  CHECK(status == 500);
  REQUIRE(wait_until([&] { return child.ended(); }));
  CHECK(WEXITSTATUS(child.end_with(SIGKILL)) == 3);
  const std::string said = child.error();
  CHECK_MESSAGE(contains(said, "CUDA_LAUNCH_BLOCKING=1"), said);
  CHECK_MESSAGE(contains(said.substr(said.rfind("dinomaly: ")), "an illegal memory access"), said);
}

}  // namespace dinomaly
