// Feature whitening: the fit against NumPy (tests/reference/make_whitening.py), its place in the model, its files.
#include "dinomaly/model/whitening.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/detector_export.h"
#include "dinomaly/model/model_file.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

const SafeTensors& numpy() {
  static const SafeTensors file =
      SafeTensors::load(DINOMALY_SOURCE_DIR "/tests/reference/whitening.safetensors");
  return file;
}

WhiteningFit fit_of(const Tensor& x) {
  WhiteningFit fit(x.size(2));
  fit.add(x);
  return fit;
}

// The largest difference, as a share of the largest value.
double difference_to_numpy(const Tensor& ours, const Tensor& theirs) {
  REQUIRE(ours.shape() == theirs.shape());
  const auto a = ours.to_vector<double>(), b = theirs.to_vector<double>();
  double largest = 0, scale = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
    scale = std::max(scale, std::abs(b[i]));
  }
  return largest / scale;
}

std::unique_ptr<Dinomaly> whitening_model(Preset preset, int64_t rank) {
  const SmallDetector small(preset);
  Config config = small.model->config();
  config.feature_whitening = rank, config.whitening_shrinkage = 1e-4;
  auto model = std::make_unique<Dinomaly>(small.encoder.config, config);
  load_encoder_weights(model->encoder(), small.encoder, "small encoder");
  return model;
}

Tensor some_images() {
  Generator generator(9);
  Tensor images = Tensor::empty({4, 3, 12, 12});
  for (int64_t i = 0; i < images.numel(); ++i)
    images.data<float>()[i] = static_cast<float>(generator.below(1000)) / 250 - 2;
  return images;
}

void fit_on(Dinomaly& model, const Tensor& images) {
  const Features raw = model.encode_raw(images);
  const auto found = [&](const Tensor& x) {
    return fit_of(x).compute(*model.config().feature_whitening, model.config().whitening_shrinkage);
  };
  model.whitening()->set(0, found(raw.bottleneck_input));
  for (size_t g = 0; g < raw.encoded.size(); ++g) model.whitening()->set(1 + g, found(raw.encoded[g]));
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<double>() == b.to_vector<double>();
}

}  // namespace

TEST_CASE("whitening: mean, matrix and whitened features are NumPy's") {
  const Tensor x = numpy().get("x");
  for (const char* kind : {"3.0.01", "3.0.5", "7.0.01", "7.0.5"}) {
    CAPTURE(kind);
    const Whitening found = fit_of(x).compute(kind[0] - '0', std::stod(kind + 2));
    CHECK(difference_to_numpy(found.mean, numpy().get("mean")) < 1e-7);
    CHECK(difference_to_numpy(found.matrix, numpy().get(std::string("W.") + kind)) < 1e-6);
    FeatureWhitening whitening(7, 2);
    CHECK(same_bits(whitening(1, x), x));  // at first the identity
    whitening.set(1, found);
    CHECK(same_bits(whitening(0, x), x));
    CHECK(difference_to_numpy(whitening(1, x), numpy().get(std::string("y.") + kind)) < 1e-6);
    CHECK(difference_to_numpy(whitening(1, x.to(Dtype::f32)), numpy().get(std::string("y.") + kind)) < 1e-5);
    const Tensor rounded = whitening(1, x.to(Dtype::bf16));  // x is exact in it: the result alone is rounded
    CHECK(rounded.dtype() == Dtype::bf16);
    CHECK(difference_to_numpy(rounded, numpy().get(std::string("y.") + kind)) < 5e-3);
  }
}

TEST_CASE("whitening: a GPU computes what the CPU does") {
  if (!has_cuda("whitening on a GPU")) return;
  const Tensor x = numpy().get("x").to(Dtype::f32);
  const Whitening on_cpu = fit_of(x).compute(7, 0.01), on_gpu = fit_of(x.to(Device::cuda())).compute(7, 0.01);
  CHECK(same_bits(on_cpu.matrix, on_gpu.matrix));
  FeatureWhitening whitening(7, 1);
  whitening.set(0, on_cpu);
  const Tensor expected = whitening(0, x), found = whitening(0, x.to(Device::cuda()));
  CHECK_FALSE(found.device().is_cpu());
  CHECK(difference_to_numpy(found, expected) < 1e-5);
  CHECK(same_bits(whitening(0, x), expected));  // back again
}

TEST_CASE("whitening: images one by one or all at once give the same bits") {
  const Tensor x = numpy().get("x");
  WhiteningFit one_by_one(7);
  for (int64_t i = 0; i < x.size(0); ++i) one_by_one.add(x.slice(0, i, i + 1));
  const Whitening a = fit_of(x).compute(3, 0.01), b = one_by_one.compute(3, 0.01);
  CHECK(same_bits(a.mean, b.mean));
  CHECK(same_bits(a.matrix, b.matrix));
}

TEST_CASE("whitening: what cannot be whitened is one clear line") {
  const Tensor x = numpy().get("x");
  const auto refusal = [](const Tensor& values, int64_t rank) {
    return input_error([&] { fit_of(values).compute(rank, 0.01); });
  };
  CHECK(one_line_with(refusal(x, 0), "rank 0 is not in [1, 7]"));
  CHECK(one_line_with(refusal(x, 8), "rank 8 is not in [1, 7]"));
  CHECK(one_line_with(refusal(x.slice(0, 0, 1).slice(1, 0, 4), 5), "only 4 tokens"));
  CHECK(one_line_with(refusal(x * 1e200, 3), "not finite"));
  CHECK(one_line_with(refusal(Tensor::ones({2, 9, 7}, Dtype::f64), 3), "do not vary"));
  CHECK(one_line_with(input_error([] { WhiteningFit(7).compute(1, 0.01); }), "only 0 tokens"));
}

TEST_CASE("whitening: in every preset the bottleneck's input and what is compared are white") {
  for (const Preset preset : {Preset::paper, Preset::anomalib, Preset::dinomaly2}) {
    CAPTURE(name_of(preset));
    const std::unique_ptr<Dinomaly> model = whitening_model(preset, 5);
    const Tensor images = some_images();
    const Features before = model->encode(images);
    fit_on(*model, images);
    const Features raw = model->encode_raw(images), white = model->encode(images);
    CHECK(same_bits(raw.encoded[0], before.encoded[0]));  // at first the identity
    CHECK((white.rows == before.rows && white.columns == before.columns));
    for (const Tensor& part : {white.bottleneck_input, white.encoded[0], white.encoded[1]}) {
      const Tensor rows = part.to(Dtype::f64).reshape({-1, 8});
      const double count = static_cast<double>(rows.size(0));
      const Tensor mean = reduce(Reduce::sum, rows, {0}) * (1 / count);
      const auto covariance = (matmul(rows, true, rows, false) * (1 / count)).to_vector<double>();
      double trace = 0, squares = 0;
      for (size_t i = 0; i < 64; ++i) squares += covariance[i] * covariance[i];
      for (size_t i = 0; i < 8; ++i) trace += covariance[9 * i];
      // Five directions of variance 1 (a little less by the shrinkage), three of variance 0.
      CHECK(trace == doctest::Approx(5).epsilon(0.05));
      CHECK(squares == doctest::Approx(5).epsilon(0.05));
      for (const double value : mean.to_vector<double>()) CHECK(std::abs(value) < 1e-4);
    }
  }
}

TEST_CASE("whitening: it is not trained, and goes with the model into its file, slim or not") {
  const TemporaryFolder folder;
  const std::unique_ptr<Dinomaly> model = whitening_model(Preset::paper, 5);
  fit_on(*model, some_images());
  for (const auto& [name, parameter] : model->named_trained_parameters())
    CHECK_FALSE(name.starts_with("whitening"));
  const auto encoder = folder / "encoder.safetensors";
  save_safetensors(encoder, model->encoder().state_dict());
  for (const bool slim : {false, true}) {
    const auto path = folder / "model.safetensors";
    save_model(path, *model, model->encoder().config(), {.slim = slim});
    const Detector loaded =
        load_detector(path, slim ? std::optional<std::filesystem::path>(encoder) : std::nullopt);
    CHECK(loaded.config().feature_whitening == 5);
    CHECK(loaded.config().whitening_shrinkage == 1e-4);
    CHECK(same_weights(*loaded.model, *model));
    CHECK(same_bits(loaded.model->encode(some_images()).encoded[1], model->encode(some_images()).encoded[1]));
  }
}

TEST_CASE("whitening: a model without it has no trace of it in its file") {
  const TemporaryFolder folder;
  const SmallDetector small(Preset::paper);
  save_model(folder / "model", *small.model, small.encoder.config);
  const SafeTensors file = SafeTensors::load(folder / "model");
  CHECK(file.metadata().at("config").find("whitening") == std::string::npos);
  for (const std::string& name : file.names()) CHECK(name.find("whitening") == std::string::npos);
}

TEST_CASE("whitening: files with part of it, too much or other shapes are refused") {
  const TemporaryFolder folder;
  const std::unique_ptr<Dinomaly> model = whitening_model(Preset::paper, 5);
  save_model(folder / "model", *model, model->encoder().config());
  const SafeTensors whole = SafeTensors::load(folder / "model");
  const auto refuses = [&](auto change, const std::string& expected) {
    std::map<std::string, Tensor> tensors;
    for (const std::string& name : whole.names()) tensors[name] = whole.get(name);
    auto metadata = whole.metadata();
    nlohmann::json config = nlohmann::json::parse(metadata.at("config"));
    change(tensors, config);
    metadata["config"] = config.dump();
    save_safetensors(folder / "changed", {tensors.begin(), tensors.end()}, metadata);
    const std::string message = input_error([&] { load_detector(folder / "changed"); });
    CHECK_MESSAGE(one_line_with(message, expected), message);
  };
  refuses([](auto& t, auto&) { t.erase("whitening.1.mean"); }, "1 missing (whitening.1.mean)");
  refuses([](auto& t, auto&) { t["whitening.0.matrix"] = Tensor::ones({8}); }, "1 misshapen");
  refuses([](auto& t, auto&) { t["whitening.2.mean"] = Tensor::ones({8}); }, "1 unexpected");
  refuses([](auto&, auto& c) { c.erase("feature_whitening"), c.erase("whitening_shrinkage"); },
          "6 unexpected");
  refuses([](auto&, auto& c) { c["feature_whitening"] = 9; }, "rank 9 is larger than the encoder's width 8");
  refuses([](auto&, auto& c) { c["feature_whitening"] = 0; }, "rank 0 is not positive");
  refuses([](auto&, auto& c) { c["feature_whitening"] = "all"; }, "must be an integer");
  refuses([](auto&, auto& c) { c["whitening_shrinkage"] = 0; }, "whitening_shrinkage: 0 is not in (0, 1000]");
  refuses([](auto& t,
             auto&) { t["whitening.0.mean"] = Tensor::full({8}, std::numeric_limits<double>::quiet_NaN()); },
          "not finite");
}

TEST_CASE("whitening: no other program has it, so nothing is exported") {
  const TemporaryFolder folder;
  for (const auto& [preset, target] :
       {std::pair{Preset::paper, DetectorKind::authors}, std::pair{Preset::dinomaly2, DetectorKind::authors},
        std::pair{Preset::anomalib, DetectorKind::anomalib}}) {
    Detector detector;
    detector.model = whitening_model(preset, 5);
    const std::string message =
        input_error([&] { export_detector(folder / "exported.safetensors", detector, target); });
    CHECK_MESSAGE(one_line_with(message, name_of(target) + " has no feature whitening"), message);
    CHECK_FALSE(std::filesystem::exists(folder / "exported.safetensors"));
  }
}
