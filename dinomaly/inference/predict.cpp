#include "dinomaly/inference/predict.h"

#include <algorithm>

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

}  // namespace

Predictor::Predictor(const Dinomaly& model, const Tiling& tiling, int64_t batch)
    : model_(model), tiling_(tiling), batch_(batch), config_(model.config()) {
  validate(tiling);
  check_input(batch > 0, "--batch: {} is not positive", batch);
  if (tiling_.on()) {
    config_.image.resize_h = config_.image.crop_h;
    config_.image.resize_w = config_.image.crop_w;
    // Zeros beyond a tile's border would darken its edge, and the image goes on there.
    config_.blur_reflects = true;
  }
}

Tensor Predictor::inputs(const Image& rgb) const {
  if (!tiling_.on()) return preprocess(rgb, config_.image).unsqueeze(0);
  const std::vector<Box> boxes = tile_boxes(rgb.width, rgb.height, tiling_);
  Tensor result =
      Tensor::empty({static_cast<int64_t>(boxes.size()), 3, config_.image.crop_h, config_.image.crop_w});
  for (size_t i = 0; i < boxes.size(); ++i) {
    result.select(0, static_cast<int64_t>(i)).copy_from(preprocess(cut(rgb, boxes[i]), config_.image));
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
    const bool blurred = config_.preset == Preset::paper || tiling_.on();
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

std::vector<Prediction> Predictor::predict(const std::vector<InputImage>& images) const {
  std::vector<Tensor> inputs;
  for (const InputImage& image : images) {
    if (image.error.empty()) inputs.push_back(image.inputs);
  }
  std::vector<Prediction> predictions(images.size());
  if (inputs.empty()) return predictions;
  const Judged judged = judge(inputs);
  size_t next = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    if (!images[i].error.empty()) continue;
    const int64_t width = images[i].width, height = images[i].height;
    Prediction& prediction = predictions[i];
    prediction.width_ = width, prediction.height_ = height;
    prediction.tiling_ = tiling_, prediction.config_ = config_.image;
    prediction.inspected =
        tiling_.on() ? Box{0, 0, width, height} : inspected_box(width, height, config_.image);
    if (!tiling_.on()) prediction.blurred = judged.blurred[next];
    prediction.score = judged.scores[next];
    for (int64_t part = 0; part < images[i].inputs.size(0); ++part, ++next) {
      prediction.score = std::max<double>(prediction.score, judged.scores[next]);
      prediction.parts_.push_back(judged.maps[next]);
    }
  }
  return predictions;
}

const Tensor& Prediction::map() const {
  check(!parts_.empty(), "prediction: there is no map of an image that could not be read");
  if (!map_.defined()) map_ = tiling_.on() ? of_tiles() : map_to_image(parts_[0], width_, height_, config_);
  return map_;
}

Tensor Prediction::of_tiles() const {
  TileBlend blend(width_, height_, tiling_);
  size_t next = 0;
  for (const Box& box : blend.boxes()) blend.add(box, resize_map(parts_[next++], box.width, box.height));
  return blend.result();
}

Prediction Predictor::predict(const Image& rgb) const {
  std::vector<InputImage> one(1);
  one[0].width = rgb.width, one[0].height = rgb.height;
  one[0].inputs = inputs(rgb);
  return predict(one)[0];
}

}  // namespace dinomaly
