// Judging on a GPU: the host's processors read, the GPU computes.
#include <doctest/doctest.h>

#include <mutex>
#include <set>
#include <thread>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "tensor/threads.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

namespace dinomaly {

TEST_CASE("predict on CUDA reads images on all processors") {
  if (!has_cuda("predict, which reads ahead")) return;
  if (useful_threads() == 1) return skip("one processor: images that are read on several");
  const TemporaryFolder folder;
  Image image(512, 512, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * i % 251);
  save_png(folder / "image.png", image);
  const auto model = small_model(28);
  model->to(Device::cuda());
  std::mutex mutex;
  std::set<std::thread::id> readers;
  int begun = 0, seen = 0;
  const NextPicture pictures = [&](std::stop_token) -> std::optional<Picture> {
    const std::lock_guard lock(mutex);
    readers.insert(std::this_thread::get_id());
    return begun++ < 40 ? std::optional(Picture(folder / "image.png")) : std::nullopt;
  };
  for_each_prediction(Predictor(*model, {}, 4), pictures, {[&](const InputImage& judged, const Prediction&) {
                        CHECK(judged.error.empty());
                        CHECK(judged.rgb.width == 512);
                        ++seen;
                      }});
  CHECK(seen == 40);
  CHECK(readers.size() == static_cast<size_t>(useful_threads()));
}

}  // namespace dinomaly
