#include "tests/fuzz/targets.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/cli/train_flags.h"
#include "dinomaly/data/listed.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/tiff_map.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/report/describe_file.h"
#include "dinomaly/report/html_report.h"
#include "dinomaly/weights/pickle.h"
#include "dinomaly/weights/weights_file.h"
#include "tensor/io/safetensors.h"
#include "tests/support.h"

namespace dinomaly::fuzz {

namespace fs = std::filesystem;

namespace {

// A folder for the inputs of this process, with two images that lists may name.
class Scratch {
 public:
  Scratch() {
    const std::string png = encode_png(Image(3, 2, 3));
    for (const char* name : {"a.png", "b.png", "realiad_1024/part/a.png", "realiad_1024/part/b.png"}) {
      put(name, png);
    }
  }
  // Without the sync of write_file(): thousands of times a second.
  fs::path put(const std::string& name, std::string_view bytes) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    return path;
  }

 private:
  TemporaryFolder folder_;
};

Scratch& scratch() {
  static Scratch folder;
  return folder;
}

// What a reader may do: return, or throw InputError.
template <class Call>
void reads(Call&& call) {
  try {
    call();
  } catch (const InputError&) {
  }
}

void read_checkpoint(const fs::path& path) {
  reads([&] {
    const nlohmann::json description = describe_file(path, {.heads = 0, .tensors = true});
    json_text(description, 2);
  });
  reads([&] {
    const Detector detector = load_detector(path, std::nullopt, 1);
    if (detector.calibration) detector.calibration->to_text();
  });
}

void safetensors(std::string_view bytes) { read_checkpoint(scratch().put("model.safetensors", bytes)); }

void torch_zip(std::string_view bytes) { read_checkpoint(scratch().put("model.pth", bytes)); }

void pickle(std::string_view bytes) {
  reads([&] { parse_pickle(bytes, "pickle"); });
  read_checkpoint(scratch().put("model.pth", torch_file_of(bytes)));
}

void image(std::string_view bytes) {
  const fs::path path = scratch().put("image", with_right_checksums(bytes));
  ImageConfig size;
  size.resize_h = 9, size.resize_w = 11, size.crop_h = 7, size.crop_w = 8;
  int64_t width = 3, height = 2;
  reads([&] {
    const Image rgb = load_image_rgb(path);
    width = rgb.width, height = rgb.height;
    preprocess(rgb, size);
    size.pipeline = ImagePipeline::torchvision;
    preprocess(rgb, size);
  });
  for (const int64_t channels : {1, 2, 5}) {
    reads([&] {
      ImageConfig config = size;
      config.pixels.channels = channels;
      config.mean = imagenet_mean(channels), config.std = imagenet_std(channels);
      preprocess(load_image(path, config.pixels), config);
    });
  }
  reads([&] { preprocess_mask(load_mask(path, width, height), size, 6); });
}

void config(std::string_view bytes) {
  const std::string path = scratch().put("config.json", bytes).string();
  reads([&] {
    CLI::App app;
    const TrainFlags flags(app);
    app.parse("--threads 1 --device cpu --config " + path);
    json_text(flags.options().to_json());
  });
  reads([&] { Calibration::from_text(std::string(bytes), "calibration").to_text(); });
}

void csv(std::string_view bytes) {
  const fs::path list = scratch().put("list.csv", bytes);
  reads([&] { read_csv_dataset(list, {}); });
  const fs::path visa = scratch().put("split_csv/1cls.csv", bytes);
  reads([&] { read_visa_raw(visa.parent_path().parent_path(), {}); });
  reads([&] { read_loss_curve(list); });
}

void real_iad(std::string_view bytes) {
  const fs::path list = scratch().put("realiad_jsons/part.json", bytes);
  reads([&] { read_real_iad(list.parent_path().parent_path(), {}); });
}

void tiff(std::string_view bytes) {
  const fs::path path = scratch().put("map.tiff", bytes);
  reads([&] { load_tiff_map(path); });
}

// An index beside two shards.
void sharded(std::string_view bytes) {
  static const bool made = [] {
    save_safetensors(scratch().put("a.safetensors", ""), {{"a", Tensor::ones({2})}});
    save_safetensors(scratch().put("b.safetensors", ""),
                     {{"b", Tensor::ones({3})}, {"c", Tensor::ones({1})}});
    return true;
  }();
  check(made, "no shards");
  const fs::path index = scratch().put("model.safetensors.index.json", bytes);
  reads([&] { load_weights_file(index); });
}

constexpr Target all[] = {{"safetensors", safetensors},
                          {"torch_zip", torch_zip},
                          {"sharded", sharded},
                          {"pickle", pickle},
                          {"image", image},
                          {"config", config},
                          {"csv", csv},
                          {"real_iad", real_iad},
                          {"tiff", tiff}};

}  // namespace

std::span<const Target> targets() { return all; }

const Target& target_named(std::string_view name) {
  for (const Target& target : all) {
    if (name == target.name) return target;
  }
  throw std::runtime_error("no fuzz target '" + std::string(name) + "'");
}

}  // namespace dinomaly::fuzz
