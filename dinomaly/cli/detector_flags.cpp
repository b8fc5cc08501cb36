#include "dinomaly/cli/detector_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/device_flag.h"
#include "dinomaly/cli/encoder_flag.h"
#include "dinomaly/cli/number_checks.h"
#include "dinomaly/data/companions.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/data/manta.h"
#include "dinomaly/data/masks.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

// What is missing and where it was looked for; some layouts look for none.
std::string missing_depth_of(const Sample& sample) {
  const auto beside = depth_of(sample.image);
  if (!beside) return missing_depth(sample.image);
  return fmt::format("{}: this layout does not read its depth {}", sample.image.string(), beside->string());
}

}  // namespace

void add_detector_flags(CLI::App& command, DetectorFlags& flags) {
  command.add_option("MODEL", flags.model, "the trained model: .safetensors, .pth or .ckpt")->required();
  add_judging_flags(command, flags);
}

void add_judging_flags(CLI::App& command, DetectorFlags& flags) {
  take_encoder_names(
      command, command.add_option("--encoder", flags.encoder,
                                  "the encoder's weights or name, for a model saved without its encoder"));
  command
      .add_option("--heads", flags.heads, "attention heads, if the file does not say (default: width / 64)")
      ->check(from_to(0, 4096));
  command.add_option("--batch", flags.batch, "images or tiles that go through a GPU at a time")
      ->capture_default_str()
      ->check(from_to(1, 4096));
  command
      .add_option("--threads", flags.threads,
                  "threads to compute with; 0: one per processor; no result depends on it")
      ->check(from_to(0, 1024));
  command.add_flag("--fast", flags.fast, "refuse a model that is not one of `train --fast`");
  add_device_flags(command, flags.device);
}

CommandFiles files_read(const DetectorFlags& flags) {
  CommandFiles files;
  files.reads_weights(flags.model);
  if (!flags.encoder.empty()) files.reads_weights(flags.encoder);
  return files;
}

void add_data_flags(CLI::App& command, DataFlags& flags) {
  command.add_option("DATA", flags.data, "a data set, as for train: a folder or a .csv file")->required();
  command.add_option("--categories", flags.categories, "a,b: the categories to judge (default: all)")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--layout", flags.layout, "auto (auto-detected), " + layout_names())
      ->capture_default_str();
}

Dataset open_data(const DataFlags& flags) {
  Dataset dataset = read_dataset(flags.data, flags.categories, parse_layout(flags.layout));
  for (const std::string& note : dataset.notes) print_error("dinomaly: {}\n", one_line(note));
  return dataset;
}

void check_fits(const Detector& detector, const std::string& model, const std::vector<Sample>& samples) {
  check_takes_pairs(detector.config().image.pixels, samples);
  const bool with_depth = detector.config().with_depth;
  for (const Sample& sample : samples) {
    if (with_depth && !sample.depth)
      fail_input("{}; {} was trained on images with depth (--layout mvtec-3d or eyecandies has it)",
                 missing_depth_of(sample), model);
    check_input(!sample.depth || with_depth, "{}: it has the depth {}, but {} was trained on images without",
                sample.image.string(), sample.depth.value_or("").string(), model);
    check_input(
        sample.strip || !detector.judges_strips() || !shows_views(sample.image),
        "{}: a picture of several views, which {} judges one by one; --layout manta cuts it into them",
        sample.image.string(), model);
  }
}

Dataset open_labelled_data(const DataFlags& flags, const DetectorFlags& by, const Detector* detector,
                           const Tiling& tiling) {
  Dataset dataset = open_data(flags);
  std::vector<Category> judged;
  std::vector<std::string> others;
  for (const Category& category : dataset.categories) {
    const std::string missing = missing_classes(category);
    if (missing.empty())
      judged.push_back(category);
    else
      others.push_back(fmt::format("category '{}' cannot be judged: {}", category.name, missing));
  }
  check_input(!judged.empty(), "{}: {}", flags.data, fmt::join(others, "; "));
  for (const std::string& other : others) print_error("dinomaly: {}: {}\n", flags.data, other);
  dataset.categories = std::move(judged);
  const ReadLimits limits = tiling.on() ? strip_limits : ReadLimits{};
  const PixelRules pixels = detector ? detector->config().image.pixels : PixelRules{};
  for (const Category& category : dataset.categories) {
    if (detector) check_fits(*detector, by.model, category.test);
    verify_images(category.test, pixels, limits);
  }
  return dataset;
}

void add_inspection_flags(CLI::App& command, InspectionFlags& flags, const std::string& area_default,
                          const std::string& roi_default) {
  command.add_option("--area", flags.area,
                     "what is judged of an image: whole (in overlapping crops, about four times the work "
                     "of one) or crop (the paper's centre crop: defects outside it are not seen); default: " +
                         area_default);
  command.add_option("--tile", flags.tile,
                     "judge large images in tiles of this many pixels per side; 0: in no tiles");
  command.add_option("--overlap", flags.overlap,
                     "pixels shared by neighbouring tiles, at most half a tile (default: a quarter)");
  add_roi_flag(command, flags.roi, roi_default);
}

void add_roi_flag(CLI::App& command, std::optional<std::string>& roi, const std::string& roi_default) {
  command.add_option(
      "--roi", roi,
      "what of an image counts: X,Y,WIDTH,HEIGHT in pixels of the image, several joined by +, or a "
      "mask of the images' size (what is not black counts), or none. Outside of it nothing counts: no "
      "score, no region, no threshold; the model still sees it. Default: " +
          roi_default);
}

}  // namespace dinomaly
