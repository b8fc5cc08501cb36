// --threads changes the time, and no bit.
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;

// Batches of 4 x 69 tokens of width 384: enough to be divided among threads, in every layer.
TEST_CASE("train: weights, losses and metrics have the same bits with 1 to 7 threads") {
  const TemporaryFolder folder;
  ProceduralOptions options;
  options.size = 112, options.train = 4, options.good = 1, options.per_defect = 1;
  options.categories = {"wood"};
  make_dataset(folder / "data", options);
  const auto results = [&](int threads) {
    const std::string out = (folder / fmt::format("out{}", threads)).string();
    run_well(folder,
             fmt::format("train {}/data --encoder random --resize 112 --crop 112 --batch 4 --iterations 2 "
                         "--out {} --threads {} "
                         "--set decoder_depth=2 --set warmup_steps=1 --calibrate none --checkpoint-every 0",
                         folder.path().string(), out, threads));
    const std::string log = bytes_of(out + "/log.csv");
    std::string losses;  // without the last column, the speed
    for (size_t begin = 0; begin < log.size();) {
      const size_t end = std::min(log.find('\n', begin), log.size());
      const std::string line = log.substr(begin, end - begin);
      losses += line.substr(0, line.rfind(',')) + "\n";
      begin = end + 1;
    }
    return std::vector<std::string>{bytes_of(out + "/model.safetensors"), losses,
                                    json_of(out + "/metrics.json").at("categories").dump()};
  };
  const std::vector<std::string> expected = results(1);
  for (int threads = 2; threads <= 7; ++threads) {
    CAPTURE(threads);
    const std::vector<std::string> got = results(threads);
    CHECK((got[0] == expected[0]));
    CHECK(got[1] == expected[1]);
    CHECK(got[2] == expected[2]);
  }
}
