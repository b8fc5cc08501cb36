// The encoder that is part of the program.
#include "dinomaly/weights/bundled_encoder.h"

#include <doctest/doctest.h>

#include <cmath>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/weights/encoder_weights.h"
#include "tests/dinomaly/cli/train_command.h"

namespace dinomaly {

namespace fs = std::filesystem;

TEST_CASE("bundled encoder: the program holds the file of assets/, whole and small") {
  const fs::path file = fs::path(DINOMALY_SOURCE_DIR) / "assets/encoder.safetensors";
  CHECK(fs::file_size(file) < 12'000'000);
  CHECK(fs::file_size(fs::path(DINOMALY_BINARY_DIR) / "generated/encoder.packed") <
        7'400'000);  // a wheel is to stay below 25 MB
  const WeightsFile bundled = bundled_encoder(), stored = load_safetensors_file(file);
  CHECK(bundled.metadata == stored.metadata);
  CHECK(bundled.metadata.at("license") == "MIT");
  REQUIRE(bundled.tensors.size() == stored.tensors.size());
  for (const auto& [name, tensor] : stored.tensors) {
    CAPTURE(name);
    CHECK(bundled.dtypes.at(name) == (name == "rope_embed.periods" ? "F32" : "BF16"));
    const std::vector<float> values = tensor.to(Dtype::f32).to_vector<float>();
    CHECK(bundled.tensors.at(name).to(Dtype::f32).to_vector<float>() == values);
    CHECK(std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }));
  }
  const EncoderConfig config = load_encoder(bundled).config;
  CHECK(config.width == 192);
  CHECK(config.depth == 12);
  CHECK(config.heads == 3);
  CHECK(config.patch == 16);
}

TEST_CASE("bundled encoder: train uses it where no other is given, with its own image sizes") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags =
      fmt::format("train {0}/data --batch 2 --iterations 1 --set decoder_depth=2 ", folder.path().string());
  const Outcome own = run_well(folder, flags + "--out " + (folder / "own").string());
  CHECK_MESSAGE(contains(own.out, "no --encoder: using the one that comes with the program"), own.out);
  const nlohmann::json config = json_of(folder / "own/config.json");
  CHECK(config.at("resize_h") == 256);
  CHECK(config.at("crop_w") == 224);
  CHECK(config.at("encoder").is_null());
  const SafeTensors model = SafeTensors::load(folder / "own/model.safetensors");
  CHECK(model.metadata().at("encoder") == bundled_encoder_name);
  const Tensor expected = load_encoder(bundled_encoder()).tensors.front().second;
  const std::string name = "encoder." + load_encoder(bundled_encoder()).tensors.front().first;
  CHECK(model.get(name).to_vector<float>() == expected.to(Dtype::f32).to_vector<float>());

  const Outcome random = run_well(
      folder, flags + "--encoder random --resize 56 --crop 56 --out " + (folder / "random").string());
  CHECK_MESSAGE(contains(random.out, "--encoder random: using random weights (seed 1)"), random.out);
  for (const char* encoder : {"", "--encoder random "})
    check_refused(folder, flags + encoder + "--slim --out " + (folder / "slim").string(),
                  "--slim: leaves the encoder to its file");
  check_refused(folder, flags + "--crop 200 --out " + (folder / "wrong").string(),
                "--crop: 200 x 200 is not a multiple");
}

}  // namespace dinomaly
