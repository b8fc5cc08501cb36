#include "dinomaly/inference/predict.h"

#include <algorithm>
#include <cmath>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/anomaly_map.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {

Image cut(const Image& image, const Box& box) {
  Image tile(box.width, box.height, image.channels);
  for (int64_t y = 0; y < box.height; ++y) {
    std::copy_n(image.at(box.x, box.y + y), box.width * image.channels, tile.row(y));
  }
  return tile;
}

// The higher score; NaN is the highest.
double worse(double a, double b) { return std::isnan(a) || a > b ? a : b; }

MapPlace place_of(const Box& box) {
  return {static_cast<double>(box.x), static_cast<double>(box.y), static_cast<double>(box.width),
          static_cast<double>(box.height)};
}

// Each pixel is in two crops at least, but for the corners of the image.
Tiling overlapping(int64_t crop) { return {crop, crop / 2}; }

}  // namespace

Config inspecting_config(const Dinomaly& model, const Inspection& inspection) {
  Config config = model.config();
  ImageConfig& image = config.image;
  if (inspection.tiling.on()) {
    image.resize_h = image.crop_h, image.resize_w = image.crop_w;
  } else if (inspection.area == Area::whole &&
             (image.crop_h < image.resize_h || image.crop_w < image.resize_w)) {
    image.crop_h = image.resize_h, image.crop_w = image.resize_w;
  } else {
    return config;
  }
  // Zeros beyond the border of a tile or crop would darken its edge, and the image goes on there.
  config.blur_reflects = true;
  return config;
}

Predictor::Predictor(const Dinomaly& model, const Inspection& inspection, int64_t batch,
                     Communicator& processes)
    : model_(model),
      inspection_(inspection),
      processes_(processes),
      roi_(std::make_shared<RegionOfInterest>(inspection.roi)),
      on_cpu_(model.parameters().front().device().is_cpu()),
      batch_(on_cpu_ ? 1 : batch),
      config_(inspecting_config(model, inspection)),
      columns_(overlapping(model.config().image.crop_w)),
      rows_(overlapping(model.config().image.crop_h)),
      crops_(tile_boxes(config_.image.crop_w, config_.image.crop_h, columns_, rows_)) {
  validate(inspection);
  check_input(batch > 0, "--batch: {} is not positive", batch);
}

std::string Predictor::misfit(int64_t width, int64_t height) const {
  if (!roi_->on()) return "";
  std::string why = roi_->misfit(width, height);
  const Prediction prediction = begun(width, height);
  if (!why.empty() || prediction.inspected == Box{0, 0, width, height}) return why;
  const std::vector<uint8_t> counted = prediction.counted();
  if (std::find(counted.begin(), counted.end(), 1) != counted.end()) return "";
  return fmt::format(
      "the region of interest ({}) lies outside of the {} x {} pixels at ({}, {}) that are inspected",
      roi_->text(), prediction.inspected.width, prediction.inspected.height, prediction.inspected.x,
      prediction.inspected.y);
}

Tensor Predictor::inputs(const Image& rgb) const {
  const ImageConfig& crop = model_.config().image;
  const auto inputs_for = [&](size_t count) {
    return Tensor::empty({static_cast<int64_t>(count), rgb.channels, crop.crop_h, crop.crop_w});
  };
  if (tiling().on()) {
    const std::vector<Box> boxes = tile_boxes(rgb.width, rgb.height, tiling());
    Tensor result = inputs_for(boxes.size());
    for (size_t i = 0; i < boxes.size(); ++i)
      result.select(0, static_cast<int64_t>(i)).copy_from(preprocess(cut(rgb, boxes[i]), config_.image));
    return result;
  }
  const Tensor image = preprocess(rgb, config_.image);
  if (crops_.size() == 1) return image.unsqueeze(0);
  Tensor result = inputs_for(crops_.size());
  for (size_t i = 0; i < crops_.size(); ++i) {
    const Box& box = crops_[i];
    result.select(0, static_cast<int64_t>(i))
        .copy_from(image.slice(1, box.y, box.y + box.height).slice(2, box.x, box.x + box.width));
  }
  return result;
}

Predictor::Judged Predictor::judge(const std::vector<Tensor>& inputs) const {
  NoGrad no_recording;
  const Tensor all = inputs.size() == 1 ? inputs[0] : cat(inputs, 0);
  Judged judged;
  for (int64_t begin = 0; begin < all.size(0); begin += batch_) {
    const Tensor batch = all.slice(0, begin, std::min(begin + batch_, all.size(0)));
    const Reconstruction reconstruction = model_.reconstruct(model_.encode(batch.contiguous()));
    const AnomalyMaps maps = anomaly_maps(reconstruction, batch.size(2), batch.size(3), config_);
    // What each implementation hands out as its map.
    const bool blurred = config_.preset != Preset::anomalib || tiling().on();
    const Tensor smooth = maps.blurred.to(Device::cpu()).to(Dtype::f32);
    const Tensor chosen = blurred ? smooth : maps.map.to(Device::cpu()).to(Dtype::f32);
    const std::vector<float> scores = maps.score.to_vector<float>();
    for (int64_t i = 0; i < batch.size(0); ++i) {
      judged.scores.push_back(scores[static_cast<size_t>(i)]);
      judged.blurred.push_back(smooth.select(0, i));
      judged.maps.push_back(chosen.select(0, i));
    }
  }
  return judged;
}

Tensor Predictor::join(const std::vector<Tensor>& maps, size_t first) const {
  TileBlend blend(config_.image.resize_w, config_.image.resize_h, columns_, rows_);
  for (const Box& box : blend.boxes()) blend.add(box, resize_map(maps[first++], box.width, box.height));
  return blend.result();
}

void Predictor::judge_whole(const Judged& judged, size_t first, Prediction& prediction) const {
  prediction.parts_ = {join(judged.maps, first)};
  const bool same = config_.preset != Preset::anomalib;  // the map handed out is the blurred one
  prediction.blurred = resize_map(same ? prediction.parts_[0] : join(judged.blurred, first), config_.map_size,
                                  config_.map_size);
  prediction.score = anomaly_score(prediction.counted_values().unsqueeze(0), config_.score_ratio).item();
}

double Predictor::score_of(const Judged& judged, size_t part, const MapPlace& place) const {
  if (!roi_->on()) return judged.scores[part];
  const Tensor& map = judged.blurred[part];
  const std::vector<int64_t> counted = roi_->on_map(place, map.size(0), map.size(1));
  if (counted.empty()) return -INFINITY;
  return anomaly_score(values_at(map, counted).unsqueeze(0), config_.score_ratio).item();
}

std::vector<MapPlace> Predictor::places_of(int64_t width, int64_t height) const {
  if (!tiling().on()) return {place_of_crop(config_.image, width, height)};
  std::vector<MapPlace> places;
  for (const Box& box : tile_boxes(width, height, tiling())) places.push_back(place_of(box));
  return places;
}

Prediction Predictor::begun(int64_t width, int64_t height) const {
  Prediction prediction;
  prediction.width_ = width, prediction.height_ = height;
  prediction.tiling_ = tiling(), prediction.config_ = config_.image, prediction.roi_ = roi_;
  prediction.inspected =
      tiling().on() ? Box{0, 0, width, height} : inspected_box(width, height, config_.image);
  return prediction;
}

void Predictor::judge_in_memory(const std::vector<InputImage>& images,
                                std::vector<Prediction>& predictions) const {
  std::vector<Tensor> inputs;
  for (const InputImage& image : images) {
    if (image.inputs.defined()) inputs.push_back(image.inputs);
  }
  if (inputs.empty()) return;
  const Judged judged = judge(inputs);
  size_t next = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    if (!images[i].inputs.defined()) continue;
    Prediction& prediction = predictions[i];
    prediction = begun(images[i].width, images[i].height);
    if (crops_.size() > 1) {
      judge_whole(judged, next, prediction);
      next += crops_.size();
      continue;
    }
    if (!tiling().on()) prediction.blurred = judged.blurred[next];
    prediction.score = -INFINITY;
    for (const MapPlace& place : places_of(images[i].width, images[i].height)) {
      prediction.score = worse(prediction.score, score_of(judged, next, place));
      prediction.parts_.push_back(judged.maps[next++]);
    }
  }
}

Prediction Predictor::predict(TileReader& tiles) const {
  const std::string why = misfit(tiles.size().width, tiles.size().height);
  check_input(why.empty(), "{}", why);
  Prediction prediction = begun(tiles.size().width, tiles.size().height);
  TileBlend blend(prediction.width_, prediction.height_, tiling());
  prediction.score = -INFINITY;
  std::vector<Box> boxes;
  std::vector<Tensor> inputs;
  const auto judge_batch = [&] {
    const Judged judged = judge(inputs);
    for (size_t i = 0; i < boxes.size(); ++i) {
      prediction.score = worse(prediction.score, score_of(judged, i, place_of(boxes[i])));
      blend.add(boxes[i], resize_map(judged.maps[i], boxes[i].width, boxes[i].height));
    }
    boxes.clear(), inputs.clear();
  };
  while (const auto tile = tiles.next()) {
    boxes.push_back(tile->box);
    inputs.push_back(preprocess(tile->image, config_.image).unsqueeze(0));
    if (static_cast<int64_t>(boxes.size()) == batch_) judge_batch();
  }
  if (!boxes.empty()) judge_batch();
  prediction.map_ = blend.result();
  prediction.clear_outside();
  return prediction;
}

std::vector<Prediction> Predictor::predict_each(std::vector<InputImage>& images) const {
  std::vector<Prediction> predictions(images.size());
  const auto name = [&](size_t i) {
    return images[i].path.empty() ? fmt::format("image {}", i + 1) : images[i].path.string();
  };
  for (size_t i = 0; i < images.size(); ++i) {
    if (!images[i].error.empty()) continue;
    const std::string why = misfit(images[i].width, images[i].height);
    if (why.empty()) continue;
    images[i].error = fmt::format("{}: {}", name(i), why);
    images[i].inputs = {};
  }
  judge_in_memory(images, predictions);
  for (size_t i = 0; i < images.size(); ++i) {
    InputImage& image = images[i];
    if (!image.error.empty()) continue;
    if (const std::shared_ptr<TileReader> tiles = std::move(image.tiles)) {
      try {
        predictions[i] = predict(*tiles);
        image.grey = tiles->grey(), image.rgb = tiles->smaller();
      } catch (const InputError& error) {
        image.width = image.height = 0;
        image.error = error.what();
        continue;
      }
    }
    if (predictions[i].is_finite()) continue;
    image.error =
        fmt::format("{}: its anomaly map is not finite (a number inside of the model overflowed)", name(i));
    predictions[i] = {};
  }
  return predictions;
}

std::vector<Prediction> Predictor::predict(std::vector<InputImage> images) const {
  std::vector<Prediction> predictions = predict_each(images);
  check_readable(images);
  return predictions;
}

Prediction Predictor::restored(int64_t width, int64_t height, double score,
                               std::vector<Tensor> tensors) const {
  check(tensors.size() >= 2, "prediction: {} tensors are not all of one", tensors.size());
  Prediction prediction = begun(width, height);
  prediction.score = score;
  prediction.blurred = tensors[0];
  prediction.map_ = tensors[1];
  prediction.parts_.assign(tensors.begin() + 2, tensors.end());
  return prediction;
}

Prediction Predictor::predict(const Image& rgb) const {
  std::vector<InputImage> one(1);
  one[0].width = rgb.width, one[0].height = rgb.height;
  one[0].inputs = inputs(rgb);
  return predict(std::move(one))[0];
}

}  // namespace dinomaly
