// The check against bundles must be able to fail.
#include <doctest/doctest.h>

#include <cmath>

#include "bundle.h"
#include "dinomaly/evaluation/aupro.h"
#include "dinomaly/evaluation/metrics.h"
#include "dinomaly/image/preprocess.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

Tensor number(double value) { return Tensor::full({1}, value, Dtype::f64); }

// Maps with a defect in each second image, and what this project computes of them.
NamedTensors metrics_tensors() {
  const int64_t count = 4, side = 12, pixels = side * side;
  Generator generator(1);
  const Tensor maps = Tensor::uniform({count, side, side}, 0, 1, generator);
  const Tensor masks = Tensor::zeros({count, side, side}, Dtype::u8);
  const Tensor labels = Tensor::zeros({count}, Dtype::u8), scores = Tensor::uniform({count}, 0, 1, generator);
  for (int64_t i = 1; i < count; i += 2) {
    labels.data<uint8_t>()[i] = 1;
    for (int64_t p = 0; p < 20; ++p) masks.data<uint8_t>()[i * pixels + p] = 1;
    for (int64_t p = 0; p < 15; ++p) maps.data<float>()[i * pixels + p] += 0.5f;
  }
  const Metrics m = evaluate_paper(maps, masks, labels.to_vector<uint8_t>(), scores.to_vector<float>());
  const double official = aupro_official({maps.data<float>(), size_t(maps.numel())},
                                         {masks.data<uint8_t>(), size_t(maps.numel())}, count, side, side);
  return {{"maps", maps},
          {"masks", masks},
          {"labels", labels},
          {"scores", scores},
          {"expect/image_auroc", number(m.image_auroc)},
          {"expect/image_ap", number(m.image_ap)},
          {"expect/image_f1max", number(m.image_f1max)},
          {"expect/pixel_auroc", number(m.pixel_auroc)},
          {"expect/pixel_ap", number(m.pixel_ap)},
          {"expect/pixel_f1max", number(m.pixel_f1max)},
          {"expect/aupro_paper", number(m.aupro)},
          {"expect/aupro_official", number(official)}};
}

const nlohmann::json images_config{{"items", {{{"resize", 12}, {"crop", 8}}}}};

NamedTensors images_tensors() {
  Image image(20, 16, 3), mask(20, 16, 1);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 37 % 251);
  for (size_t i = 40; i < 200; ++i) mask.pixels[i] = 255;
  ImageConfig config;
  config.resize_h = config.resize_w = 12, config.crop_h = config.crop_w = 8;
  const Tensor paper = preprocess(image, config), small_mask = preprocess_mask(mask, config);
  config.pipeline = ImagePipeline::torchvision;
  return {{"0/image", Tensor::from(image.pixels, {16, 20, 3})},
          {"0/mask", Tensor::from(mask.pixels, {16, 20})},
          {"0/expect/paper", paper},
          {"0/expect/mask", small_mask.to(Dtype::f32)},
          {"0/expect/anomalib", preprocess(image, config)}};
}

// The verdict on a bundle of these tensors.
template <class Check>
Verdict verdict_on(const NamedTensors& tensors, const Check& check_bundle) {
  const TemporaryFolder folder;
  save_safetensors(folder / "bundle.safetensors", tensors);
  Verdict verdict(Dtype::f64);
  check_bundle(SafeTensors::load(folder / "bundle.safetensors"), verdict);
  return verdict;
}

// Right numbers are ok; each of them, made wrong at its last element, fails.
template <class Check>
void check_notices_each(const NamedTensors& tensors, size_t expected, const Check& check_bundle) {
  const Verdict right = verdict_on(tensors, check_bundle);
  CAPTURE(right.text());
  CHECK(right.ok());
  size_t tried = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!contains(tensors[i].first, "expect/")) continue;
    ++tried;
    for (const double wrong : {1.0, 1e-4, std::nan("")}) {
      NamedTensors changed = tensors;
      Tensor& tensor = changed[i].second;
      tensor = tensor.clone();
      const int64_t last = tensor.numel() - 1;
      if (tensor.dtype() == Dtype::f64)
        tensor.data<double>()[last] += wrong;
      else
        tensor.data<float>()[last] += static_cast<float>(wrong);
      const Verdict verdict = verdict_on(changed, check_bundle);
      CAPTURE(tensors[i].first);
      CHECK_FALSE(verdict.ok());
      CHECK(contains(verdict.text(), "FAIL\n"));
    }
  }
  CHECK(tried == expected);
}

}  // namespace

TEST_CASE("reference_check: where nothing was compared nothing is ok") {
  Verdict verdict(Dtype::bf16);
  CHECK_FALSE(verdict.ok());
  CHECK(verdict.text() == "nothing was compared FAIL\n");
  verdict.relative("grad", number(1), number(2), verdict.by_dtype(1e-9, 1e-5, -1));  // not in bf16
  CHECK_FALSE(verdict.ok());
  const Tensor none = Tensor::zeros({0}, Dtype::f64);
  CHECK_THROWS_WITH_AS(verdict.absolute("block", none, none, 1), doctest::Contains("block"), Error);
  CHECK_THROWS_WITH_AS(verdict.relative("block", number(1), Tensor::zeros({2}, Dtype::f64), 1),
                       doctest::Contains("block"), Error);
}

TEST_CASE("reference_check: the largest error of a group counts, and NaN is the largest") {
  const double nan = std::nan("");
  for (const std::vector<double>& values : std::vector<std::vector<double>>{
           {1.1, 1, 1}, {1, 1.1, 1}, {1, 1, 1.1}, {nan, 1, 1}, {1, nan, 1}, {1, 1, nan}, {1, 1, INFINITY}}) {
    Verdict together(Dtype::f64), apart(Dtype::f64), in_scale(Dtype::f64);
    together.absolute("a", Tensor::from(values, {3}), Tensor::ones({3}, Dtype::f64), 0.01);
    for (const double value : values) apart.relative("r", number(value), number(1), 0.01);
    for (const double value : values) in_scale.relative_to("s", number(value), number(1), number(0.1), 0.9);
    for (const Verdict* verdict : {&together, &apart, &in_scale}) {
      CHECK_FALSE(verdict->ok());
      CHECK(contains(verdict->text(), "FAIL"));
    }
  }
}

TEST_CASE("reference_check: a line for each group, and each must be ok") {
  Verdict verdict(Dtype::f64);
  verdict.relative("good", number(102), number(100), 0.02);
  verdict.absolute("exact", number(0), number(0), 0);
  CHECK(verdict.ok());
  verdict.relative("bad", number(0.03), number(0), 0.02);
  CHECK_FALSE(verdict.ok());
  CHECK(verdict.text() ==
        "good max relative error 0.02 tolerance 0.02 ok\n"
        "exact max relative error 0 tolerance 0 ok\n"
        "bad max relative error 0.03 tolerance 0.02 FAIL\n");
}

TEST_CASE("reference_check: each metric of a bundle is compared") {
  check_notices_each(metrics_tensors(), 8, [](const SafeTensors& bundle, Verdict& verdict) {
    check_metrics_bundle(bundle, verdict);
  });
}

TEST_CASE("reference_check: each image of a bundle is compared") {
  check_notices_each(images_tensors(), 3, [](const SafeTensors& bundle, Verdict& verdict) {
    check_images_bundle(bundle, images_config, verdict);
  });
}

}  // namespace dinomaly
