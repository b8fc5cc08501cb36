#include "dinomaly/cli/detector_flags.h"

#include <omp.h>

#include <CLI/CLI.hpp>

#include "dinomaly/cli/device_flag.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/data/masks.h"

namespace dinomaly {

void add_detector_flags(CLI::App& command, DetectorFlags& flags) {
  command.add_option("MODEL", flags.model, "the trained model: .safetensors, .pth or .ckpt")->required();
  command.add_option("--encoder", flags.encoder,
                     "the encoder's weights, for a model saved without its encoder");
  command
      .add_option("--heads", flags.heads, "attention heads, if the file does not say (default: width / 64)")
      ->check(CLI::Range(int64_t{0}, int64_t{4096}));
  command.add_option("--batch", flags.batch, "images per batch")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{4096}));
  command.add_option("--threads", flags.threads, "threads to compute with; 0: one per processor")
      ->check(CLI::Range(0, 1024));
  add_device_flags(command, flags.device);
}

Detector open_detector(const DetectorFlags& flags) {
  const Device device = open_device(flags.device);
  if (flags.threads > 0) omp_set_num_threads(flags.threads);
  const std::optional<std::filesystem::path> encoder =
      flags.encoder.empty() ? std::nullopt : std::optional<std::filesystem::path>(flags.encoder);
  Detector detector = load_detector(flags.model, encoder, flags.heads);
  if (!device.is_cpu()) detector.model->to(device);
  return detector;
}

void add_data_flags(CLI::App& command, DataFlags& flags) {
  command.add_option("DATA", flags.data, "a data set, as for train: a folder or a .csv file")->required();
  command.add_option("--categories", flags.categories, "a,b: the categories to judge (default: all)")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      .add_option("--layout", flags.layout,
                  "auto (auto-detected), mvtec, visa-raw, visa, real-iad, btad, csv or folder")
      ->capture_default_str();
}

Dataset open_data(const DataFlags& flags) {
  return read_dataset(flags.data, flags.categories, parse_layout(flags.layout));
}

Dataset open_labelled_data(const DataFlags& flags) {
  Dataset dataset = open_data(flags);
  for (const Category& category : dataset.categories) {
    const std::string missing = missing_classes(category);
    check_input(missing.empty(), "{}: category '{}' cannot be judged: {}", flags.data, category.name,
                missing);
  }
  for (const Category& category : dataset.categories) verify_images(category.test);
  return dataset;
}

void add_tiling_flags(CLI::App& command, Tiling& tiling) {
  command.add_option("--tile", tiling.size, "judge large images in tiles of this many pixels per side");
  command.add_option("--overlap", tiling.overlap, "pixels shared by neighbouring tiles, at most half a tile");
}

}  // namespace dinomaly
