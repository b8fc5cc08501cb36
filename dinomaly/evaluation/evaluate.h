// A trained model against the labelled test images of one category.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/evaluation/metrics.h"
#include "dinomaly/evaluation/objects.h"
#include "dinomaly/inference/for_each_prediction.h"

namespace dinomaly {

struct CategoryResult {
  std::string category;
  Metrics metrics;                  // the `paper` mode of evaluation; of pairs, of the RGB images
  std::optional<Metrics> infrared;  // of pairs, of the infrared images
  std::vector<float> scores;        // an image each
  ObjectScores objects;             // where the images are views of objects
  Tensor maps;                      // (N, S, S) f32: Prediction::counted_map()
  Tensor masks;  // (N, S, S) u8 of 0 and 1; undefined where an anomalous image has no mask, or by region
};

// All numbers of a category, those of `metrics` first; NaN where there are none.
struct AllMetrics : Metrics {
  RankingMetrics objects{};
  Metrics infrared{};
};
AllMetrics all_metrics(const CategoryResult& result);

// Takes the predictions of one category, made without tiles, in the order of its test images. What it keeps of an
// image is its map and mask, 5 bytes a pixel of the map: 328 KB at 256 x 256. In a region of interest the metrics of
// pixels are NaN: the paper's count all of a map.
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
  std::vector<Tensor> counted_;  // in a region of interest: of each image, (1, 1, n)
  CategoryResult result_;
};

// Runs the predictor, which has no tiles, over the category's test images; `also` take its predictions, too. The paper
// judges the centre crop; of whole images the same numbers are computed over all pixels.
CategoryResult evaluate(const Predictor& predictor, const Category& category,
                        std::vector<SampleSink> also = {});
// The same by the paper's protocol, on the centre crop.
CategoryResult evaluate(const Dinomaly& model, const Category& category, int64_t batch);

}  // namespace dinomaly
