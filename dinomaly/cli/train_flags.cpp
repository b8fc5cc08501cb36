#include "dinomaly/cli/train_flags.h"

#include <CLI/CLI.hpp>
#include <system_error>

#include "dinomaly/cli/device_flag.h"
#include "dinomaly/cli/encoder_flag.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/report/results.h"

namespace dinomaly {

TrainFlags::~TrainFlags() = default;

template <class T>
void TrainFlags::add(CLI::App& app, const std::string& name, T TrainOptions::*field,
                     const std::string& help) {
  CLI::Option* option = nullptr;
  if constexpr (std::is_same_v<T, bool>)
    option = app.add_flag(name, given_.*field, help);
  else
    option = app.add_option(name, given_.*field, help);
  if constexpr (std::is_same_v<T, std::vector<std::string>>)
    option->delimiter(',')->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  given_fields_.push_back([this, option, field](TrainOptions& options) {
    if (option->count() > 0) options.*field = given_.*field;
  });
}

template <class T>
void TrainFlags::add_config(CLI::App& app, const std::string& name, T Config::*field,
                            const std::string& help) {
  const CLI::Option* option = app.add_option(name, given_.config.*field, help);
  given_fields_.push_back([this, option, field](TrainOptions& options) {
    if (option->count() == 0) return;
    options.config.*field = given_.config.*field;
    options.given[option->get_lnames().at(0)] = GivenBy::flag;
  });
}

TrainFlags::TrainFlags(CLI::App& app) {
  add(app, "DATA", &TrainOptions::data,
      "folder in the layout of MVTec AD, VisA, Real-IAD, MPDD, BTAD, AutoVI, MANTA, MVTec 3D-AD, Eyecandies "
      "or MulSen-AD, a CSV of images, or a plain folder of good images (default: images drawn by the "
      "program)");
  add(app, "--layout", &TrainOptions::layout, "auto (auto-detected), " + layout_names());
  add(app, "--categories", &TrainOptions::categories, "a,b: the categories to train on (default: all)");
  add(app, "--shots", &TrainOptions::shots,
      "few-shot training: so many images of each category, drawn by the seed and the category's name and "
      "varied in each step (crop, quarter turns, flips); 0: all images, as they are");
  add(app, "--encoder", &TrainOptions::encoder,
      "the ViT's weights: a name (dinov2-small-reg; dinomaly encoder list), safetensors, .pth or .ckpt; or "
      "'random' (default: the small encoder that comes "
      "with the "
      "program)");
  offline_ = add_offline_flag(app);
  add(app, "--heads", &TrainOptions::heads, "attention heads (default: width / 64)");
  add_model_flags(app);
  add(app, "--threads", &TrainOptions::threads,
      "threads to compute with; 0: one per processor; no result depends on it");
  add(app, "--precision", &TrainOptions::precision,
      "f32, bf16 (weights and activations; sums, statistics and master weights stay f32), f64, or int8: "
      "trained in f32; the stored model, which also judges the test images, has products of 8 bits");
  add_fast_flag(app);
  add(app, "--device", &TrainOptions::device_name, device_help);
  app.add_flag("--deterministic", deterministic_help);
  add(app, "--out", &TrainOptions::out, "folder for metrics, log, model and heatmaps (dinomaly-out)");
  add_run_flags(app);
}

void TrainFlags::add_fast_flag(CLI::App& app) {
  const CLI::Option* precision = app.get_option("--precision");
  const CLI::Option* fast = app.add_flag("--fast")->description(
      "a model that judges several times as fast: int8, and images resized to 20 patches a side (280 "
      "pixels; DINOv3 320; the program's encoder 160) without a crop");
  given_fields_.push_back([fast, precision](TrainOptions& options) {
    options.fast = fast->count() > 0;
    if (options.fast && precision->count() == 0) options.precision = "int8";
  });
}

void TrainFlags::add_model_flags(CLI::App& app) {
  app.add_option(
      "--preset", texts_.preset,
      "paper (the authors' code, default), anomalib or dinomaly2 (the authors' second model, whose "
      "defaults follow the kind of data)");
  app.add_option("--config", texts_.file, "JSON file with any options; flags override it");
  app.add_option("--set", texts_.settings, "NAME=VALUE, any option of the model; may be repeated")
      ->allow_extra_args(false)  // what follows may be DATA
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--resize", texts_.resize,
                 "pixels, N or HEIGHTxWIDTH (448; DINOv3 512; the program's encoder 256)");
  app.add_option("--crop", texts_.crop,
                 "pixels of the centre crop, N or HEIGHTxWIDTH (392; DINOv3 448; the program's encoder 224)");
  PixelRules& pixels = given_.config.image.pixels;
  const CLI::Option* channels = app.add_option("--channels", pixels.channels,
                                               "1 to 16 channels of the images: 1 grey, 3 RGB, others all "
                                               "samples of TIFF, PNG (2, 4: with alpha) or NPY files, or the "
                                               "grey pages of a TIFF. "
                                               "An encoder of 3 is made to take them: of 1 channel its "
                                               "weights are summed, of N they repeat, times 3/N "
                                               "(default: the encoder's)");
  app.add_option(
      "--mean", texts_.mean,
      "r,g,b,... the images are normalised by, one for each channel (ImageNet's three: repeated, of one "
      "channel their mean)");
  app.add_option("--std", texts_.std, "r,g,b,... (ImageNet's, likewise)");
  const CLI::Option* depth = app.add_option(
      "--bit-depth", pixels.bit_depth,
      "8 to 16: so many bits are used of images of 16 bits, of which the eight highest count; values beyond "
      "are white (default: the fewest that hold the training images; the model keeps it)");
  const CLI::Option* as_stored =
      app.add_flag("--ignore-orientation")
          ->description("take pixels as stored; otherwise images are turned by their EXIF orientation");
  given_fields_.push_back([&pixels, channels, depth, as_stored](TrainOptions& options) {
    check_input(channels->count() == 0 || pixels.channels != 0, "--channels: 0 is not within 1..{}",
                most_channels);
    PixelRules& chosen = options.config.image.pixels;
    if (channels->count() > 0) chosen.channels = pixels.channels, options.given["channels"] = GivenBy::flag;
    if (depth->count() > 0) chosen.bit_depth = pixels.bit_depth, options.given["bit_depth"] = GivenBy::flag;
    if (as_stored->count() > 0) options.config.image.pixels.exif_orientation = false;
  });
  add_config(
      app, "--feature-whitening", &Config::feature_whitening,
      "rank, from 1 to the encoder's width: features are whitened, by those of the training images. For "
      "encoders that are weak (random, trained on little) (default: none)");
  add_config(app, "--whitening-shrinkage", &Config::whitening_shrinkage,
             "with --feature-whitening: added to each eigenvalue, as a share of their mean (0.01)");
  add_config(app, "--iterations", &Config::iterations,
             "training steps (10000; anomalib 5000; dinomaly2 40000, of several views 100000, of RGB and "
             "infrared 20000)");
  add_config(app, "--batch", &Config::batch, "images per step (16, or all there are, if they are fewer)");
  add_config(app, "--seed", &Config::seed, "seed of initial weights, order and dropout (1)");
}

void TrainFlags::add_run_flags(CLI::App& app) {
  add(app, "--separate", &TrainOptions::separate, "one model per category, in OUT/CATEGORY");
  add(app, "--eval-every", &TrainOptions::eval_every,
      "iterations between validations on the test part (OUT/validation.csv); 0: none");
  add(app, "--keep-best", &TrainOptions::keep_best,
      "a metric (image_auroc, aupro, ...): the model is the best validation by it, not the last step");
  add(app, "--checkpoint-every", &TrainOptions::checkpoint_every,
      "iterations between checkpoints (1000); 0: none");
  add(app, "--resume", &TrainOptions::resume,
      "continue from OUT's last checkpoint, bit for bit; more --iterations than before train it further");
  add(app, "--finish", &TrainOptions::finish,
      "with --resume: train no further, but make the model (thresholds, metrics) of the last checkpoint");
  add(app, "--force", &TrainOptions::force,
      "replace the model or the checkpoints that an earlier run has left in OUT");
  add(app, "--feature-memory", &TrainOptions::feature_memory,
      "GB of features kept in memory, the rest in a file in OUT (half of the machine's memory)");
  add(app, "--feature-cache", &TrainOptions::feature_cache, "folder that keeps features for later runs");
  add(app, "--feature-dtype", &TrainOptions::feature_dtype,
      "features are kept as: model (the model's dtype), bf16 (half of f32) or int8 (a quarter)");
  add(app, "--calibrate", &TrainOptions::calibrate,
      "how thresholds are found: good (from good images not used for training; if there are none, every "
      "fifth one is held out), f1 (from labelled test images) or none (good)");
  add(app, "--false-alarm-rate", &TrainOptions::false_alarm_rate,
      "share of good images that may be called anomalous (0.01)");
  add(app, "--per-category", &TrainOptions::per_category, "also store thresholds for each category");
  add(app, "--roi", &TrainOptions::roi,
      "what of an image counts for the thresholds, and for predict then: X,Y,WIDTH,HEIGHT in pixels of the "
      "image, "
      "several joined by +, or a mask of the images' size (none). Training and its metrics take whole "
      "images");
  add(app, "--slim", &TrainOptions::slim,
      "save the model without its encoder, whose weights file is then needed too");
}

TrainOptions TrainFlags::options() const {
  TrainOptions options;
  options.calibrate = "good";
  OptionTexts texts = texts_;
  const std::filesystem::path earlier = given_.out / "config.json";
  std::error_code unseen;  // whoever reads or locks the folder says why
  if (texts.file.empty() && given_.resume && std::filesystem::exists(earlier, unseen))
    texts.file = earlier.string();
  options.apply(texts);
  for (const auto& copy : given_fields_) copy(options);
  if (given_.encoder) options.encoder_sha256.clear();  // the file's is another's
  if (options.encoder) {
    FetchOptions fetch{.offline = offline_->as<bool>()};
    if (!options.encoder_sha256.empty()) fetch.sha256 = options.encoder_sha256;
    FoundEncoder found = find_encoder(*options.encoder, fetch);
    options.encoder = std::move(found.file);
    options.encoder_name = std::move(found.name);
    options.encoder_sha256 = std::move(found.sha256);
  }
  if (!options.keep_best.empty()) metric_value({}, options.keep_best);
  const std::filesystem::path own = options.out / "config.json";
  std::error_code ignored;
  check_input(options.resume || texts.file.empty() || !std::filesystem::equivalent(texts.file, own, ignored),
              "--config: {} would be replaced by all options of this run; use another --out, or --resume",
              texts.file);
  options.prepare();
  return options;
}

}  // namespace dinomaly
