#include "dinomaly/pretraining/crop_pairs.h"

#include <algorithm>
#include <numeric>

#include "autograd/ops/ops.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/image/preprocess.h"
#include "dinomaly/pretraining/photometric.h"
#include "dinomaly/pretraining/views.h"

namespace dinomaly {

namespace {

void normalise(const Tensor& crop, float* out) {
  const std::vector<float> mean = imagenet_mean(), deviation = imagenet_std();
  const int64_t pixels = crop.size(1) * crop.size(2);
  const float* values = crop.data<float>();
  for (int64_t i = 0; i < 3 * pixels; ++i) {
    const auto channel = static_cast<size_t>(i / pixels);
    out[i] = (values[i] - mean[channel]) / deviation[channel];
  }
}

// `share` of the places, at random, in half of the calls; otherwise none.
void hide_some(uint8_t* hidden, int64_t patches, double share, Generator& generator) {
  std::fill_n(hidden, patches, uint8_t{0});
  if (generator.uniform() < 0.5) return;
  auto left = static_cast<int64_t>(share * static_cast<double>(patches));
  while (left > 0) {
    uint8_t& place = hidden[generator.below(static_cast<uint64_t>(patches))];
    left -= place == 0;
    place = 1;
  }
}

void label_patches(const RenderedScene& scene, const View& view, int64_t side, int64_t patch,
                   int64_t* families) {
  for (int64_t i = 0; i < side * side; ++i) {
    const auto centre = [&](int64_t index) {
      return (static_cast<double>(index) + 0.5) * static_cast<double>(patch);
    };
    const Point p = view.to_scene({centre(i % side), centre(i / side)});
    const int64_t x = std::clamp<int64_t>(static_cast<int64_t>(p.x), 0, scene.rgb.width - 1);
    const int64_t y = std::clamp<int64_t>(static_cast<int64_t>(p.y), 0, scene.rgb.height - 1);
    families[i] = scene.families[static_cast<size_t>(y * scene.rgb.width + x)];
  }
}

}  // namespace

CropPairs make_crop_pairs(const PretrainOptions& options, const ScenePool& pool, int64_t step) {
  const int64_t pairs = options.pairs, crop = options.crop, side = crop / options.patch,
                patches = side * side;
  CropPairs result{Tensor::empty({2 * pairs, 3, crop, crop}), Tensor::empty({pairs * patches}, Dtype::i64),
                   Tensor::empty({pairs * patches}, Dtype::i64),
                   Tensor::empty({2 * pairs, patches}, Dtype::u8),
                   Tensor::empty({2 * pairs * patches}, Dtype::i64)};
  for_each_in_parallel(static_cast<size_t>(pairs), [&](size_t index) {
    const auto pair = static_cast<int64_t>(index);
    const Philox4 block = philox(~options.seed, static_cast<uint64_t>(step * pairs + pair));
    Generator generator(uint64_t{block.word[0]} << 32 | block.word[1]);
    const RenderedScene& scene =
        pool.at(static_cast<int64_t>(generator.below(static_cast<uint64_t>(pool.count()))));
    const auto [first, second] = draw_views(options.scene, crop, generator);
    for (const int64_t place : {pair, pairs + pair}) {
      const View& view = place == pair ? first : second;
      const Tensor image = sample(scene, view, crop);
      apply(draw_photometric_change(generator), image);
      normalise(image, result.crops.data<float>() + place * image.numel());
      hide_some(result.hidden.data<uint8_t>() + place * patches, patches, options.hidden_share, generator);
      label_patches(scene, view, side, options.patch, result.families.data<int64_t>() + place * patches);
    }
    const auto match = [&](const View& from, const View& to, int64_t place, const Tensor& matches) {
      const std::vector<int64_t> found = matching_patches(from, to, crop, options.patch);
      const uint8_t* hidden = result.hidden.data<uint8_t>() + place * patches;
      for (int64_t i = 0; i < patches; ++i) {
        const bool counts = found[static_cast<size_t>(i)] != no_match && hidden[i] == 0;
        matches.data<int64_t>()[pair * patches + i] =
            counts ? pair * patches + found[static_cast<size_t>(i)] : ignored_label;
      }
    };
    match(first, second, pair, result.first_to_second);
    match(second, first, pairs + pair, result.second_to_first);
  });
  return result;
}

}  // namespace dinomaly
