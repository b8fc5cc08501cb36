// A model that is open and judges one image after the other, as `dinomaly predict` does: for programs that call it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dinomaly/image/image.h"
#include "dinomaly/image/picture.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/inference/open_detector.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/report/prediction_output.h"
#include "dinomaly/report/verdict_options.h"

namespace dinomaly {

// Throws InputError for a picture of several views, which a model that judges one at a time refuses.
void check_one_view(const Detector& detector, const PixelLayout& layout, const std::string& name);

struct JudgeFlags {
  DetectorFlags detector;
  InspectionFlags inspection;
  VerdictFlags verdict;
};

struct Judgement {
  Verdict verdict;
  Prediction prediction;
};

// All of of_...() and judge...() can be called from several threads at a time. Their numbers are those that `predict` prints of the same
// image. They throw InputError naming the image where it cannot be read or judged.
class Judge {
 public:
  // Throws InputError as open_detector(), inspection_for() and verdict_options().
  explicit Judge(const JudgeFlags& flags);

  // A file of any format that is read; with its depth where the model takes one (companions.h).
  InputImage of_file(const std::filesystem::path& path) const;
  // The bytes of such a file, which `name` stands for in messages.
  InputImage of_bytes(std::string_view bytes, const std::string& name) const;
  // As many channels as the model has. For one of one or three channels: 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB,
  // alpha); an alpha is dropped.
  InputImage of_pixels(Image pixels, const std::string& name) const;
  Judgement judge(InputImage image) const;
  // image_of(0) to image_of(count - 1), several on their way at a time as where `predict` judges a folder (streams.h).
  std::vector<Judgement> judge_each(size_t count, const std::function<InputImage(size_t)>& image_of) const;

  Judgement judge_file(const std::filesystem::path& path) const { return judge(of_file(path)); }
  Judgement judge_bytes(std::string_view bytes, const std::string& name) const {
    return judge(of_bytes(bytes, name));
  }
  Judgement judge_pixels(Image pixels, const std::string& name) const {
    return judge(of_pixels(std::move(pixels), name));
  }

  const Detector& detector() const { return detector_; }
  const Predictor& predictor() const { return predictor_; }
  const OutputOptions& options() const { return options_; }

 private:
  Picture picture_of(const std::filesystem::path& path) const;
  Judgement judgement_of(const InputImage& image, Prediction prediction) const;

  Detector detector_;
  Inspection inspection_;
  OutputOptions options_;
  Predictor predictor_;
};

}  // namespace dinomaly
