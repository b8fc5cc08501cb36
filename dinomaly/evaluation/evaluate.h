// A trained model against the labelled test images of one category.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/evaluation/metrics.h"
#include "dinomaly/evaluation/objects.h"
#include "dinomaly/inference/predict.h"

namespace dinomaly {

struct CategoryResult {
  std::string category;
  Metrics metrics;                  // the `paper` mode of evaluation; of pairs, of the RGB images
  std::optional<Metrics> infrared;  // of pairs, of the infrared images
  std::vector<float> scores;        // an image each
  ObjectScores objects;             // where the images are views of objects
  Tensor maps;                      // (N, S, S) f32: blurred, at the config's map_size
  Tensor masks;                     // (N, S, S) u8 of 0 and 1; undefined where an anomalous image has no mask
  // What the model was shown of each test image, InputImage::rgb resized and cropped; empty unless kept.
  std::vector<InputImage> images;
};

// Whether CategoryResult::images is wanted: heatmaps and galleries draw on them.
enum class TestImages { kept, dropped };

// Takes the predictions of one category, made without tiles, in the order of its test images. Images that
// come with pixels are kept.
class PaperEvaluation {
 public:
  // `category` must outlive the evaluation. `config`: of the predictor (inspecting_config()).
  PaperEvaluation(const Category& category, const Config& config);
  // Throws InputError naming a mask that is damaged or not as large as the image.
  void add(const InputImage& image, const Prediction& prediction);
  // Where an anomalous image has no mask the metrics of pixels are NaN. Throws InputError where the test
  // images hold one class only.
  CategoryResult compute();

 private:
  const Category& category_;
  ImageConfig config_;
  double score_ratio_;
  CategoryResult result_;
};

// For for_each_prediction: the crop of an image, or nothing of it.
std::function<Image(Image)> crop_for(TestImages images, const Config& config);

// Runs the model over the category's test images. `progress` is called after each image. The paper judges the
// centre crop; of whole images the same numbers are computed over all pixels.
CategoryResult evaluate(const Dinomaly& model, const Category& category, int64_t batch,
                        const std::function<void()>& progress = {}, TestImages images = TestImages::kept,
                        Area area = Area::crop);

}  // namespace dinomaly
