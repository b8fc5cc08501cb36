// Detectors trained here score the same in PyTorch (the authors' arithmetic) and in anomalib, and theirs
// here. Runs where $DINOMALY_PYTHON, or python3, has torch and safetensors, and anomalib.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/anomaly_map.h"
#include "dinomaly/model/detector_export.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/model/model_file.h"
#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/optimizer.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/model/python.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

// What exchange.py calls them.
struct Program {
  Preset preset;
  DetectorKind kind;
  std::string name;
};
const Program programs[] = {{Preset::paper, DetectorKind::authors, "authors"},
                            {Preset::dinomaly2, DetectorKind::authors, "dinomaly2"},
                            {Preset::anomalib, DetectorKind::anomalib, "anomalib"}};

// A few steps, so that every trained tensor has moved.
void train(Dinomaly& model, const Tensor& images) {
  Generator dropout(1);
  StableAdamW optimizer(model.trained_parameters(), {0.9, 0.999, 1e-10, 1e-4});
  const Features features = model.encode(images);
  for (int step = 0; step < 5; ++step) {
    optimizer.zero_grad();
    hard_mining_cosine_loss(model.reconstruct(features, dropout), 0.5, 0.1).backward();
    optimizer.step(2e-3, 1.0);
  }
}

AnomalyMaps score(Dinomaly& model, const Tensor& images) {
  NoGrad no_recording;
  Generator unused;
  model.eval();
  const Reconstruction reconstruction = model.reconstruct(model.encode(images), unused);
  return anomaly_maps(reconstruction, images.size(2), images.size(3), model.config());
}

void check_close(const std::string& what, const Tensor& ours, const Tensor& theirs) {
  REQUIRE(ours.shape() == theirs.shape());
  const std::vector<double> a = ours.to_vector<double>(), b = theirs.to_vector<double>();
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  fmt::print("{}: largest difference {:.1e} of values up to {:.3f}\n", what, largest,
             *std::max_element(b.begin(), b.end()));
  CHECK(largest < 1e-5);
}

// The shape exchange.py builds.
Detector trained_detector(Preset preset, const Tensor& images) {
  EncoderConfig shape;
  shape.width = 32, shape.heads = 2, shape.depth = 12, shape.patch = 14, shape.hidden = 128;
  shape.registers = 4, shape.grid_h = shape.grid_w = 4, shape.layer_scale = true;
  Generator generator(9);
  Config config = Config::with_preset(preset);
  config.init_std = 0.1, config.init_cut = 0.3;
  Detector detector;
  detector.model = std::make_unique<Dinomaly>(shape, config);
  load_encoder_weights(detector.model->encoder(), random_encoder(shape, generator), "random encoder");
  train(*detector.model, images);
  return detector;
}

}  // namespace

TEST_CASE("detectors trained here score the same in the other implementations") {
  const TemporaryFolder folder;
  Generator generator(2);
  const Tensor images = Tensor::normal({3, 3, 70, 84}, 0, 1, generator);
  for (const auto& [preset, kind, program] : programs) {
    CAPTURE(program);
    Detector detector = trained_detector(preset, images);
    const auto path = folder / "exported.safetensors", io = folder / "io.safetensors";
    export_detector(path, detector, kind);
    save_safetensors(io, {{"images", images}});
    const int status =
        run_python("exchange.py", fmt::format("score {} {} {}", program, path.string(), io.string()));
    if (status == package_missing) {
      skip(fmt::format("no Python with what {} needs; scripts/exchange_env.sh installs it", program));
      continue;
    }
    REQUIRE(status == 0);
    const SafeTensors theirs = SafeTensors::load(io);
    const AnomalyMaps ours = score(*detector.model, images);
    check_close(fmt::format("trained here, run by {}: scores", program), ours.score, theirs.get("score"));
    check_close(fmt::format("trained here, run by {}: maps", program), ours.map, theirs.get("map"));
  }
}

TEST_CASE("detectors saved by the other implementations score the same here") {
  const TemporaryFolder folder;
  for (const auto& [preset, kind, program] : programs) {
    CAPTURE(program);
    const std::string file = kind == DetectorKind::authors ? "model.pth" : "model.ckpt";
    const auto path = folder / file, io = folder / "io.safetensors";
    const int status =
        run_python("exchange.py", fmt::format("save {} {} {}", program, path.string(), io.string()));
    if (status == package_missing) {
      skip(fmt::format("no Python with what {} needs; scripts/exchange_env.sh installs it", program));
      continue;
    }
    REQUIRE(status == 0);
    constexpr int64_t heads = 2;
    const Detector detector = load_detector(path, std::nullopt, heads);
    CHECK(detector.kind == kind);
    CHECK(detector.config().preset == preset);
    const SafeTensors theirs = SafeTensors::load(io);
    const AnomalyMaps ours = score(*detector.model, theirs.get("images"));
    check_close(fmt::format("{} of {}, run here: scores", file, program), ours.score, theirs.get("score"));
    check_close(fmt::format("{} of {}, run here: maps", file, program), ours.map, theirs.get("map"));
  }
}
