// What several processes judge is what one would.
#include "dinomaly/inference/shared_predictions.h"

#include <doctest/doctest.h>

#include <fstream>

#include "dinomaly/base/files.h"
#include "dinomaly/image/image.h"
#include "dinomaly/inference/message.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

struct Got {
  std::filesystem::path path;
  std::string error;
  int64_t width = 0, height = 0;
  Image rgb;
  double score = 0;
  std::vector<float> map, blurred;
  bool operator==(const Got&) const = default;
};

// Of the first process; the others help.
std::vector<Got> judged(const Dinomaly& model, const Inspection& inspection,
                        const std::vector<Picture>& pictures, Communicator& processes) {
  if (!processes.is_first()) {
    help_first([&]() -> const Dinomaly& { return model; }, processes);
    return {};
  }
  std::vector<Got> all;
  const Predictor predictor(model, inspection, 16, processes);
  for_each_prediction(predictor, in_order(pictures),
                      {[&](const InputImage& image, const Prediction& prediction) {
                        Got& got = all.emplace_back();
                        got.path = image.path, got.error = image.error, got.rgb = image.rgb;
                        got.width = image.width, got.height = image.height;
                        if (!image.error.empty()) return;
                        got.score = prediction.score;
                        got.map = prediction.map().to_vector<float>();
                        if (prediction.blurred.defined()) got.blurred = prediction.blurred.to_vector<float>();
                      }});
  dismiss_helpers(processes);
  return all;
}

// More than a process is given at a time; of several sizes, as strips, with a fault, damaged.
std::vector<Picture> some_pictures(const TemporaryFolder& folder) {
  std::vector<Picture> pictures;
  for (int64_t i = 0; i < 40; ++i) {
    Image image(40 + i, 60 - i, 3);
    for (size_t k = 0; k < image.pixels.size(); ++k)
      image.pixels[k] = static_cast<uint8_t>(k * static_cast<size_t>(7 + i) % 251);
    const std::filesystem::path file = folder / (std::to_string(i) + ".png");
    save_png(file, image);
    pictures.emplace_back(file);
    if (i % 9 == 4) pictures.back().strip = Strip{5, 20};
    if (i == 11) pictures.back().fault = "its other half is missing";
    if (i == 13) write_file(file, "no image");
  }
  return pictures;
}

}  // namespace

TEST_CASE("shared predictions: what one process would get, in its order, whatever is judged of an image") {
  const TemporaryFolder folder;
  const std::vector<Picture> pictures = some_pictures(folder);
  const auto model = cropping_model();
  const RegionOfInterest roi = RegionOfInterest::parse("10,5,20,12");
  for (const Inspection& inspection :
       {Inspection{}, Inspection{.area = Area::crop}, Inspection{.tiling = {16, 4}}, Inspection{.roi = roi},
        Inspection{.roi = roi.of_size(50, 50)}}) {
    const std::vector<Got> together = judged(*model, inspection, pictures, communicator());
    if (!communicator().is_first()) continue;
    const std::vector<Got> alone = judged(*model, inspection, pictures, single_process());
    REQUIRE(together.size() == pictures.size());
    for (size_t i = 0; i < together.size(); ++i) {
      CAPTURE(i);
      CHECK((together[i] == alone[i]));
    }
    CHECK(alone[11].error == "its other half is missing");
    CHECK(!alone[13].error.empty());
  }
}

TEST_CASE("messages: any bytes, and tensors of any kind, which share memory if they did") {
  Communicator& processes = communicator();
  if (processes.rank() == 1) {
    const Tensor one = Tensor::full({2, 3}, 4.5);
    send(processes, 0,
         {{{"name", "\xff\xfe"}, {"number", -INFINITY}},
          {one, Tensor(), one, Tensor::full({1}, 7, Dtype::i64)}});
  }
  if (!processes.is_first()) return;
  const Message message = receive(processes, 1);
  CHECK(message.head["name"].get<std::string>() == "\xff\xfe");
  CHECK(message.head["number"].get<double>() == -INFINITY);
  REQUIRE(message.tensors.size() == 4);
  CHECK(message.tensors[0].to_vector<float>() == std::vector<float>(6, 4.5f));
  CHECK(!message.tensors[1].defined());
  CHECK(message.tensors[2].raw_data() == message.tensors[0].raw_data());
  CHECK(message.tensors[3].item() == 7);
}

}  // namespace dinomaly
