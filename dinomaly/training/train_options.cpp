// What options allow together, and what follows from them; option_texts.cpp reads them.
#include "dinomaly/training/train_options.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "dinomaly/base/open_device.h"
#include "dinomaly/base/option_error.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/image/region_of_interest.h"
#include "dinomaly/model/calibration.h"
#include "dinomaly/weights/bundled_encoder.h"
#include "tensor/threads.h"

namespace dinomaly {

namespace {

void check_options(const TrainOptions& options) {
  const std::string& precision = options.precision;
  check_input(precision == "f32" || precision == "bf16" || precision == "f64" || precision == "int8",
              "--precision: '{}' is not one of f32, bf16, f64, int8", precision);
  check_input(!options.config.feature_whitening || !options.stores_int8(),
              "--precision: with --feature-whitening a model cannot be int8: whitening enlarges what "
              "rounding changes");
  check_input(!options.slim || !options.stores_int8(),
              "--slim: with --precision int8 the model has weights of its own for the encoder");
  const std::pair<const char*, int64_t> counts[] = {{"--heads", options.heads},
                                                    {"--threads", options.threads},
                                                    {"--eval-every", options.eval_every},
                                                    {"--checkpoint-every", options.checkpoint_every},
                                                    {"--shots", options.shots}};
  for (const auto& [flag, count] : counts) check_input(count >= 0, "{}: {} is negative", flag, count);
  check_input(std::isfinite(options.feature_memory) && options.feature_memory >= 0,
              "--feature-memory: {} is not a number of GB", options.feature_memory);
  check_input(options.threads <= 1024, "--threads: {} is more than 1024", options.threads);
  check_input(!options.slim || options.encoder_file(),
              "--slim: leaves the encoder to its file, so it needs --encoder FILE");
  check_input(!options.finish || options.resume, "--finish: needs --resume");
  check_input(!options.force || !options.resume,
              "--force starts over and --resume continues: only one can be meant");
  parse_layout(options.layout);
  const int64_t channels = options.config.image.pixels.channels;
  check_input(channels >= 0 && channels <= most_channels, "--channels: {} is not within 1..{}", channels,
              most_channels);
  if (options.shots > 0) {
    check_input(options.config.image.pipeline == ImagePipeline::pil,
                "--shots: varies images as the authors' code does: not with the preset {}",
                name_of(options.config.preset));
    check_input(!options.feature_cache && options.feature_dtype == "model",
                "--feature-cache and --feature-dtype are for features that are kept; with --shots none are");
  }
  check_input(!options.config.feature_whitening || options.feature_dtype == "model",
              "--feature-dtype: whitening enlarges what rounding changes; with --feature-whitening features "
              "are kept as 'model' only");
  check_input(options.keep_best.empty() || options.eval_every > 0, "--keep-best: needs --eval-every");
  check_input(options.calibrate == "good" || options.calibrate == "f1" || options.calibrate == "none",
              "--calibrate: '{}' is not one of good, f1, none", options.calibrate);
  check_false_alarm_rate(options.false_alarm_rate);
  check_input(!RegionOfInterest::parse(options.roi).on() || options.calibrate != "none",
              "--roi: it is for thresholds, and with --calibrate none there are none");
  check_input(parse_feature_dtype(options.feature_dtype).has_value(),
              "--feature-dtype: '{}' is not one of model, bf16, int8", options.feature_dtype);
}

void check_fast(const TrainOptions& options) {
  check_input(!options.resume, "--fast: --resume goes on with the sizes and the precision of its run");
  check_input(options.stores_int8(), "--fast: it stores int8, not {} as --precision has it",
              options.precision);
}

}  // namespace

Dtype TrainOptions::dtype() const { return stores_int8() ? Dtype::f32 : parse_dtype(precision); }

FeatureOptions TrainOptions::features() const {
  const double machine = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const double bytes = feature_memory > 0 ? feature_memory * 1e9 : machine / 2;
  return {static_cast<size_t>(std::min(bytes, 1e18)), out, feature_cache,
          parse_feature_dtype(feature_dtype).value(), shots > 0};
}

std::optional<std::filesystem::path> TrainOptions::encoder_file() const {
  return encoder == random_encoder_name ? std::nullopt : encoder;
}

int64_t fast_side(int64_t patch, bool own_encoder) { return (own_encoder ? 10 : 20) * patch; }

// --fast is int8 and a size: whoever names another says what cannot be.
void TrainOptions::take_fast_size(int64_t side) {
  ImageConfig& image = config.image;
  const std::pair<const char*, int64_t*> sizes[] = {{"resize_h", &image.resize_h},
                                                    {"resize_w", &image.resize_w},
                                                    {"crop_h", &image.crop_h},
                                                    {"crop_w", &image.crop_w}};
  for (const auto& [name, size] : sizes) {
    const auto named = given.find(name);
    if (named != given.end() && *size != side) {
      const std::string option(name);
      fail_input("--fast: it takes images of {} x {} pixels; {} is {}", side, side,
                 named->second == GivenBy::flag ? "--" + option.substr(0, option.find('_')) : option, *size);
    }
    *size = side;
  }
}

void TrainOptions::complete_config(int64_t encoder_depth, int64_t patch, int64_t channels) {
  ImageConfig& image = config.image;
  if (fast) take_fast_size(fast_side(patch, !encoder));
  if (!encoder && image.resize_h == 0 && image.resize_w == 0 && image.crop_h == 0 && image.crop_w == 0) {
    image.resize_h = image.resize_w = bundled_resize;
    image.crop_h = image.crop_w = bundled_crop;
  }
  try {
    config.complete(encoder_depth, patch, channels);
  } catch (const OptionError& error) {
    std::string flag = error.option();
    const auto by_name = [&](const std::string& name) {
      const auto found = given.find(name);
      return found != given.end() && found->second != GivenBy::flag;
    };
    if (by_name(flag) || by_name(flag + "_h") || by_name(flag + "_w")) throw;
    std::replace(flag.begin(), flag.end(), '_', '-');
    fail_input("--{}: {}", flag, error.fault());
  }
}

void TrainOptions::prepare() {
  if (fast) check_fast(*this);
  check_options(*this);
  device = open_device(device_name);
  check_input(device.is_cpu() || dtype() != Dtype::f64,
              "--precision: f64 runs only on the CPU; use f32 or bf16 on {}", device);
  if (threads > 0) nabla::set_num_threads(threads);
}

}  // namespace dinomaly
