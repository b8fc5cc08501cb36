// What the page of `report` says in words.
#include "dinomaly/report/report_facts.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support.h"

using namespace dinomaly;

TEST_CASE("report: the verdict says in words what the counts are and how far they reach") {
  HtmlReportInput input;
  const std::vector<float> scores{0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f};
  const std::vector<uint8_t> labels{0, 0, 1, 0, 1, 1};
  const auto said = [&](const std::vector<bool>& used) {
    return report_verdict(input, 0.35, scores, labels, used).dump();
  };
  const std::string best = said(std::vector<bool>(6, true));  // of these very images
  CHECK_MESSAGE(
      contains(best,
               "for these very images, the model finds 2 of 3 anomalous images (67 %) and calls 1 of 3 "
               "good images anomalous by mistake (33 %)."),
      best);
  CHECK(contains(best, "not calibrated"));
  CHECK_FALSE(contains(best, "95 % confidence"));
  CHECK(contains(best, "moderately (I-AUROC 0.889"));
  input.calibration.emplace();
  const std::string others = said(std::vector<bool>(6));
  CHECK_MESSAGE(
      contains(others,
               "At the threshold 0.35 the model finds 2 of 3 anomalous images (67 %) and calls 1 of 3 "
               "good images anomalous by mistake (33 %)."),
      others);
  CHECK(contains(others, "95 % confidence"));
  CHECK(contains(others, "fewer than 20 good and fewer than 20 anomalous images"));
  CHECK_FALSE(contains(others, "left out"));
  CHECK_FALSE(contains(others, "not calibrated"));
  // The good ones were used: nothing is said of false alarms.
  const std::string good_used = said({true, true, false, true, false, false});
  CHECK_MESSAGE(contains(good_used, "the model finds 2 of 3 anomalous images (67 %)."), good_used);
  CHECK_FALSE(contains(good_used, "by mistake"));
  CHECK_FALSE(contains(good_used, "false alarm"));
  CHECK(contains(good_used,
                 "There are no good and fewer than 20 anomalous images that the threshold was not found on"));
  CHECK(contains(good_used, "found on 3 of the images here"));
  const std::string one_left = said({true, true, true, false, true, true});
  CHECK_MESSAGE(contains(one_left, "the model calls 1 of 1 good image anomalous by mistake (100 %)."),
                one_left);
  CHECK_FALSE(contains(said(std::vector<bool>(6, true)), "At the threshold"));  // nothing is left to measure
}

TEST_CASE("report: it says when, with what, of which images and which part of them it was made") {
  HtmlReportInput input;
  input.date = "2026-01-31 09:05", input.version = "1.2.3", input.model = "m.safetensors",
  input.data = "<parts>";
  input.encoder = "vit.pth: ViT", input.precision = "f32";
  Category category;
  category.test.resize(3);
  category.test[0].anomalous = true;
  input.dataset.categories = {category};
  input.config.complete(12, 14);
  const auto about = [&] { return report_about(input).dump(); };
  for (const char* part : {"2026-01-31 09:05 by dinomaly 1.2.3", "m.safetensors (paper preset)",
                           "vit.pth: ViT", "<parts>: 2 good and 1 anomalous test image",
                           "resized to 448 x 448 pixels, then cropped to 392 x 392",
                           "the centre, 77 % of each image", "[\"precision\",\"f32\"]"}) {
    CHECK_MESSAGE(contains(about(), part), about());
  }
  CHECK_FALSE(contains(about(), "iterations"));  // of a model trained elsewhere they are not known
  input.trained_here = true;
  input.config.iterations = 77;
  CHECK(contains(about(), "77 iterations, 16 images each, seed 1"));
  input.config.image.crop_h = input.config.image.crop_w = 448;
  CHECK(contains(about(), "the whole image"));
}
