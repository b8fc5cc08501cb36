#include "dinomaly/inference/shared_predictions.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/inference/message.h"
#include "dinomaly/inference/streams.h"

namespace dinomaly {

using nlohmann::json;

namespace {

// So many for each stream go to a process at a time: the more, the rarer do all wait for the last one; the fewer, the sooner does
// a signal end the work.
constexpr size_t images_ahead = 8;

json told(const Inspection& inspection) {
  json boxes = json::array();
  for (const Box& box : inspection.roi.boxes()) boxes.push_back({box.x, box.y, box.width, box.height});
  return {{"tile", inspection.tiling.size},
          {"overlap", inspection.tiling.overlap},
          {"area", static_cast<int>(inspection.area)},
          {"boxes", boxes},
          {"size", {inspection.roi.width(), inspection.roi.height()}}};
}

Inspection heard_inspection(const json& value) {
  std::vector<Box> boxes;
  for (const json& box : value["boxes"]) boxes.push_back({box[0], box[1], box[2], box[3]});
  Inspection result{{value["tile"], value["overlap"]}, static_cast<Area>(value["area"].get<int>())};
  if (boxes.empty()) return result;
  const auto region = RegionOfInterest::of_boxes(std::move(boxes), strip_limits.side, strip_limits.side);
  check(region.has_value(), "shared predictions: boxes that are no region");
  result.roi = region->of_size(value["size"][0], value["size"][1]);
  return result;
}

json told(const Picture& picture) {
  json result{{"path", picture.path.string()}, {"fault", picture.fault}};
  if (picture.strip) result["strip"] = {picture.strip->x, picture.strip->width};
  if (picture.depth) result["depth"] = picture.depth->string();
  return result;
}

Picture heard_picture(const json& value) {
  Picture result(std::filesystem::path(value["path"].get<std::string>()));
  result.fault = value["fault"];
  if (value.contains("strip")) result.strip = Strip{value["strip"][0], value["strip"][1]};
  if (value.contains("depth")) result.depth = value["depth"].get<std::string>();
  return result;
}

Message told(const InputImage& image, const Prediction& prediction) {
  Message message;
  message.head = {
      {"path", image.path.string()}, {"width", image.width},
      {"height", image.height},      {"channels", image.channels},
      {"grey", image.grey},          {"error", image.error},
      {"score", prediction.score},   {"rgb", {image.rgb.width, image.rgb.height, image.rgb.channels}}};
  const std::vector<uint8_t>& pixels = image.rgb.pixels;
  message.tensors.push_back(pixels.empty() ? Tensor()
                                           : Tensor::from(pixels, {static_cast<int64_t>(pixels.size())}));
  const std::vector<Tensor> tensors = prediction.tensors();
  message.tensors.insert(message.tensors.end(), tensors.begin(), tensors.end());
  return message;
}

void hear(const Predictor& predictor, Message message, const PredictionSink& sink) {
  const json& head = message.head;
  InputImage image;
  image.path = head["path"].get<std::string>();
  image.width = head["width"], image.height = head["height"], image.channels = head["channels"];
  image.grey = head["grey"], image.error = head["error"];
  if (const Tensor& pixels = message.tensors.at(0); pixels.defined()) {
    image.rgb.width = head["rgb"][0], image.rgb.height = head["rgb"][1], image.rgb.channels = head["rgb"][2];
    image.rgb.pixels = pixels.to_vector<uint8_t>();
  }
  message.tensors.erase(message.tensors.begin());
  Prediction prediction;
  if (image.error.empty())
    prediction = predictor.restored(image.width, image.height, head["score"], std::move(message.tensors));
  sink(image, prediction);
}

// By this process alone.
void judge(const Predictor& predictor, NextPicture next, const Reading& reading, const PredictionSink& sink) {
  ReadAheadOptions options{.most_ahead = most_read_ahead(predictor),
                           .readers = readers_for(predictor.on_cpu() ? Device::cpu() : Device::cuda()),
                           .pixels = predictor.pixels(),
                           .tiling = predictor.tiling()};
  if (!reading.with_pixels) options.keep = no_pixels;
  ReadAhead images(
      std::move(next), [&](const Image& rgb) { return predictor.inputs(rgb); }, options);
  const auto wanted = static_cast<int64_t>(Streams::wanted(predictor));
  // Tiles of a large image fill batches by themselves, and those of many images would fill the memory.
  const bool whole_batches = reading.whole_batches && !predictor.on_cpu() && !predictor.tiling().on();
  const auto next_images = [&] { return whole_batches ? images.next_batch(wanted) : images.next(wanted); };
  Streams streams(predictor, sink);
  for (std::vector<InputImage> read = next_images(); !read.empty(); read = next_images())
    streams.add(std::move(read));
  streams.finish();
}

std::vector<Picture> some(const NextPicture& next, size_t most) {
  std::vector<Picture> pictures;
  while (pictures.size() < most) {
    std::optional<Picture> picture = next({});
    if (!picture) break;
    pictures.push_back(std::move(*picture));
  }
  return pictures;
}

// Whose block the picture is in.
int owner_of(size_t picture, size_t block, int processes) {
  return static_cast<int>(picture / block % static_cast<size_t>(processes));
}

void judge_with_others(const Predictor& predictor, const std::vector<Picture>& pictures, size_t block,
                       const Reading& reading, const PredictionSink& sink) {
  Communicator& processes = predictor.processes();
  std::vector<std::vector<Picture>> shares(static_cast<size_t>(processes.size()));
  for (size_t i = 0; i < pictures.size(); ++i)
    shares[static_cast<size_t>(owner_of(i, block, processes.size()))].push_back(pictures[i]);
  for (int rank = 1; rank < processes.size(); ++rank) {
    json share = json::array();
    for (const Picture& picture : shares[static_cast<size_t>(rank)]) share.push_back(told(picture));
    if (share.empty()) continue;
    send(processes, rank,
         {{{"pictures", share},
           {"inspection", told(predictor.inspection())},
           {"batch", predictor.batch()},
           {"with_pixels", reading.with_pixels},
           {"whole_batches", reading.whole_batches}}});
  }
  size_t place = 0;
  judge(predictor, in_order(std::move(shares[0])), reading,
        [&](const InputImage& image, const Prediction& prediction) {
          sink(image, prediction);
          for (++place; place < pictures.size(); ++place) {
            const int owner = owner_of(place, block, processes.size());
            if (owner == 0) break;
            hear(predictor, receive(processes, owner), sink);
          }
        });
}

}  // namespace

void help_first(const std::function<const Dinomaly&()>& model, Communicator& processes) {
  for (;;) {
    const json work = receive(processes, 0).head;
    if (work.is_null()) return;
    std::vector<Picture> pictures;
    for (const json& picture : work["pictures"]) pictures.push_back(heard_picture(picture));
    const Predictor predictor(model(), heard_inspection(work["inspection"]), work["batch"], single_process());
    judge(predictor, in_order(std::move(pictures)), {work["with_pixels"], work["whole_batches"]},
          [&](const InputImage& image, const Prediction& prediction) {
            send(processes, 0, told(image, prediction));
          });
  }
}

void dismiss_helpers(Communicator& processes) {
  for (int rank = 1; rank < processes.size(); ++rank) send(processes, rank, {});
}

void for_each_picture(const Predictor& predictor, const NextPicture& next, const Reading& reading,
                      const PredictionSink& sink) {
  const int processes = predictor.processes().size();
  if (processes == 1) return judge(predictor, next, reading, sink);
  const size_t block = predictor.on_cpu() ? 1 : Streams::wanted(predictor);
  const size_t most = images_ahead * Streams::wanted(predictor) * static_cast<size_t>(processes);
  for (std::vector<Picture> pictures = some(next, most); !pictures.empty(); pictures = some(next, most))
    judge_with_others(predictor, pictures, block, reading, sink);
}

}  // namespace dinomaly
