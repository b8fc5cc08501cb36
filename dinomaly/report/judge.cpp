#include "dinomaly/report/judge.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/companions.h"
#include "dinomaly/data/manta.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/inference/streams.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// Grey and RGB, with or without an alpha, as a file of the same pixels would be read.
Image in_rgb(const Image& pixels) {
  Image rgb(pixels.width, pixels.height, 3);
  const int64_t channels = pixels.channels;
  const bool grey = channels <= 2;
  const uint8_t* from = pixels.pixels.data();
  for (uint8_t* to = rgb.pixels.data(); to != rgb.pixels.data() + rgb.pixels.size();
       to += 3, from += channels) {
    to[0] = from[0];
    to[1] = from[grey ? 0 : 1];
    to[2] = from[grey ? 0 : 2];
  }
  return rgb;
}

void check_no_depth(const Detector& detector, const std::string& name) {
  check_input(!detector.config().with_depth,
              "{}: the model takes images with depth: give the path of a file, which its depth is found by",
              name);
}

}  // namespace

void check_one_view(const Detector& detector, const PixelLayout& layout, const std::string& name) {
  if (detector.judges_strips() && shows_views(layout)) fail_input("{}", refused_views(name).fault);
}

Judge::Judge(const JudgeFlags& flags)
    : detector_(open_detector(flags.detector)),
      inspection_(inspection_for(flags.inspection, detector_)),
      options_(verdict_options(flags.verdict, flags.detector.model, detector_.calibration, inspection_)),
      predictor_(*detector_.model, inspection_, flags.detector.batch) {}

Picture Judge::picture_of(const std::filesystem::path& path) const {
  if (detector_.judges_strips() && shows_views(path)) return refused_views(path);
  return detector_.config().with_depth ? picture_with_depth(path) : Picture(path);
}

Judgement Judge::judge(InputImage image) const {
  std::vector<InputImage> images;
  images.push_back(std::move(image));
  Prediction prediction = std::move(predictor_.predict_each(images)[0]);
  return judgement_of(images[0], std::move(prediction));
}

Judgement Judge::judgement_of(const InputImage& image, Prediction prediction) const {
  check_input(image.error.empty(), "{}", image.error);
  Judgement result;
  result.prediction = std::move(prediction);
  result.verdict = judge_prediction(image, result.prediction, options_);
  result.verdict.warnings =
      detector_.training_images.value_or(TrainingImages{}).warnings(image, inspection_.tiling.on());
  return result;
}

std::vector<Judgement> Judge::judge_each(size_t count,
                                         const std::function<InputImage(size_t)>& image_of) const {
  std::vector<Judgement> all;
  Streams streams(predictor_, [&](const InputImage& image, const Prediction& prediction) {
    all.push_back(judgement_of(image, prediction));
  });
  std::vector<InputImage> ready;
  for (size_t i = 0; i < count; ++i) {
    ready.push_back(image_of(i));
    check_input(ready.back().error.empty(), "{}", ready.back().error);
    if (ready.size() < Streams::wanted(predictor_) && i + 1 < count) continue;
    streams.add(std::exchange(ready, {}));
  }
  streams.finish();
  return all;
}

InputImage Judge::of_file(const std::filesystem::path& path) const {
  ReadAhead reader(in_order({picture_of(path)}), [&](const Image& rgb) { return predictor_.inputs(rgb); },
                   {.most_ahead = 1, .pixels = predictor_.pixels(), .tiling = predictor_.tiling()});
  return std::move(reader.next(1).at(0));
}

InputImage Judge::of_bytes(std::string_view bytes, const std::string& name) const {
  check_no_depth(detector_, name);
  const PixelRules& rules = predictor_.pixels();
  const ReadLimits whole;
  InputImage image;
  image.path = name;
  image.channels = rules.channels;
  std::unique_ptr<PixelRows> rows =
      open_picture(name, std::string(bytes), predictor_.tiling().on() ? strip_limits : whole, rules.channels);
  const PixelLayout layout = rows->layout();
  check_one_view(detector_, layout, name);
  if (whole.hold(layout.width, layout.height)) {
    prepare_input(image, whole_image(*rows, rules.in_colour()), rules,
                  [&](const Image& rgb) { return predictor_.inputs(rgb); });
  } else {
    image.tiles = std::make_shared<TileReader>(std::move(rows), rules, predictor_.tiling());
    image.width = image.tiles->size().width, image.height = image.tiles->size().height;
  }
  return image;
}

InputImage Judge::of_pixels(Image pixels, const std::string& name) const {
  check_no_depth(detector_, name);
  check_input(pixels.width > 0 && pixels.height > 0, "{}: {} x {} pixels", name, pixels.width, pixels.height);
  check_input(ReadLimits{}.hold(pixels.width, pixels.height),
              "{}: {} x {} pixels are more than are judged at once", name, pixels.width, pixels.height);
  check_one_view(detector_, {.width = pixels.width, .height = pixels.height}, name);
  const int64_t wanted = predictor_.pixels().channels;
  if (wanted == 1 || wanted == 3) {
    check_input(pixels.channels >= 1 && pixels.channels <= 4, "{}: {} channels (expected 1, 2, 3 or 4)", name,
                pixels.channels);
    if (pixels.channels != 3) pixels = in_rgb(pixels);
  } else {
    check_input(pixels.channels == wanted, "{}: {} channels; the model has {}", name, pixels.channels,
                wanted);
  }
  InputImage image;
  image.path = name;
  prepare_input(image, std::move(pixels), predictor_.pixels(),
                [&](const Image& rgb) { return predictor_.inputs(rgb); });
  return image;
}

}  // namespace dinomaly
