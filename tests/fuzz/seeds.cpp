#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/tiff_map.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/training/train_options.h"
#include "dinomaly/weights/encoder_naming.h"
#include "dinomaly/weights/stored_zip.h"
#include "dinomaly/weights/torch_archive.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/image/npy_writer.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/fuzz/targets.h"
#include "tests/support.h"

namespace dinomaly::fuzz {

namespace {

namespace fs = std::filesystem;
using Seeds = std::map<std::string, std::string>;

constexpr uint64_t most_bytes = 1 << 22;

// One block of width 2: what a fuzzer can turn over many times a second. With dinomaly2 the bottleneck is narrower.
std::unique_ptr<Dinomaly> least_model(Preset preset) {
  EncoderConfig shape;
  shape.width = 2, shape.heads = 1, shape.depth = 1, shape.patch = 1, shape.hidden = 2, shape.registers = 1;
  shape.grid_h = shape.grid_w = 1, shape.layer_scale = true;
  Generator generator(4);
  Config config = Config::with_preset(preset);
  config.image.resize_h = config.image.resize_w = config.image.crop_h = config.image.crop_w = 1;
  config.decoder_depth = 1, config.map_size = 8;
  if (config.bottleneck_width > 0) config.bottleneck_width = 1;
  auto model = std::make_unique<Dinomaly>(shape, config);
  load_encoder_weights(model->encoder(), random_encoder(shape, generator), "random encoder");
  return model;
}

// A DINOv3 encoder under the names of the three libraries.
void add_dinov3_seeds(const TemporaryFolder& folder, Seeds& seeds) {
  EncoderConfig shape;
  shape.width = 4, shape.heads = 1, shape.depth = 1, shape.patch = 1, shape.hidden = 4, shape.registers = 1;
  shape.layer_scale = shape.rotary = true, shape.norm_eps = 1e-5;
  Generator generator(5);
  EncoderWeights weights = random_encoder(shape, generator);
  for (auto& [name, tensor] : weights.tensors)  // keys have none
    if (name.ends_with("attn.qkv.bias"))
      tensor = Tensor::from<float>({1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1}, {12});
  for (const auto& [name, naming] : {std::pair{"dinov3_meta", Naming::meta},
                                     {"dinov3_timm", Naming::timm},
                                     {"dinov3_transformers", Naming::transformers}}) {
    save_safetensors(folder / name, named_as(weights, naming), {{"format", "pt"}});
    seeds[name] = read_file(folder / name, most_bytes);
  }
}

Seeds safetensors_seeds(const TemporaryFolder& folder) {
  const auto model = least_model(Preset::paper), narrow = least_model(Preset::dinomaly2);
  const EncoderConfig& shape = model->encoder().config();
  Calibration calibration;
  calibration.categories["part"] = {0.1, 0.2};
  save_model(folder / "whole", *model, shape, {.calibration = calibration});
  save_model(folder / "slim", *model, shape, {.slim = true, .encoder_name = "vit.pth"});
  save_model(folder / "dinomaly2", *narrow, shape);
  save_safetensors(folder / "encoder", model->encoder().state_dict(), {{"format", "pt"}});
  const Tensor ones = Tensor::ones({2, 3});
  save_safetensors(folder / "dtypes", {{"f32", ones},
                                       {"f64", ones.to(Dtype::f64)},
                                       {"bf16", ones.to(Dtype::bf16)},
                                       {"i64", ones.to(Dtype::i64)},
                                       {"u8", ones.to(Dtype::u8)}});
  Seeds seeds;
  for (const char* name : {"whole", "slim", "dinomaly2", "encoder", "dtypes"})
    seeds[name] = read_file(folder / name, most_bytes);
  add_dinov3_seeds(folder, seeds);
  return seeds;
}

// What make_checkpoints.py has written, whole or as the pickle in it.
Seeds torch_seeds(bool whole) {
  Seeds seeds;
  for (const auto& entry :
       fs::directory_iterator(fs::path(DINOMALY_SOURCE_DIR) / "tests/dinomaly/weights/checkpoints")) {
    const std::string bytes = read_file(entry.path(), most_bytes), name = entry.path().stem().string();
    if (!bytes.starts_with("PK")) continue;
    if (whole) {
      seeds[name] = bytes;
      continue;
    }
    const StoredZip zip(entry.path());
    try {
      const StoredZip::Bytes pickle = zip.get(read_torch_archive(zip, name).folder + "data.pkl");
      seeds[name] = std::string(reinterpret_cast<const char*>(pickle.data), pickle.size);
    } catch (const InputError&) {  // some lack it on purpose
    }
  }
  return seeds;
}

std::string bmp_of(int width, int height, int bits) {
  const auto little = [](uint32_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
  };
  const int row = (width * bits + 31) / 32 * 4;
  return "BM" + little(static_cast<uint32_t>(54 + row * height), 4) + little(0, 4) + little(54, 4) +
         little(40, 4) + little(static_cast<uint32_t>(width), 4) + little(static_cast<uint32_t>(height), 4) +
         little(1, 2) + little(static_cast<uint32_t>(bits), 2) + std::string(24, '\0') +
         std::string(static_cast<size_t>(row * height), '\x55');
}

// TIFFs in strips and tiles, with channels together and apart, of several depths and compressions.
void add_tiff_seeds(const TemporaryFolder& folder, Seeds& seeds) {
  const std::string pixels = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::vector<uint16_t> palette(12, 0x4000);
  const std::map<std::string, TiffFormat> formats{
      {"grey.tif", {.width = 5, .height = 4}},
      {"rgb_tiles.tif", {.width = 4, .height = 5, .samples = 3, .photometric = PHOTOMETRIC_RGB, .tile = 16}},
      {"rgb_apart.tif",
       {.width = 4, .height = 3, .samples = 3, .photometric = PHOTOMETRIC_RGB, .apart = true}},
      {"deep_lzw.tif", {.width = 5, .height = 3, .bits = 16, .compression = COMPRESSION_LZW}},
      {"deflate.tif", {.width = 5, .height = 3, .compression = COMPRESSION_ADOBE_DEFLATE, .orientation = 6}},
      {"packbits.tif", {.width = 5, .height = 3, .compression = COMPRESSION_PACKBITS}},
      {"five.tif", {.width = 3, .height = 3, .samples = 5}},
      {"five_apart.tif", {.width = 2, .height = 3, .bits = 16, .samples = 5, .apart = true}},
      {"bits.tif", {.width = 8, .height = 3, .bits = 1, .photometric = PHOTOMETRIC_MINISWHITE}},
      {"palette.tif",
       {.width = 4, .height = 2, .bits = 2, .photometric = PHOTOMETRIC_PALETTE, .palette = palette}}};
  for (const auto& [name, format] : formats) {
    const int row = (format.width * format.samples * format.bits + 7) / 8;
    write_tiff(folder / name, format, {pixels.substr(0, static_cast<size_t>(row * format.height))});
    seeds[name] = read_file(folder / name, most_bytes);
  }
}

Seeds image_seeds(const TemporaryFolder& folder) {
  Image grey(9, 6, 1), rgb(10, 7, 3);
  for (size_t i = 0; i < grey.pixels.size(); ++i) grey.pixels[i] = static_cast<uint8_t>(5 * i);
  for (size_t i = 0; i < rgb.pixels.size(); ++i) rgb.pixels[i] = static_cast<uint8_t>(i);
  std::string rows16, rows_palette;
  for (int y = 0; y < 3; ++y) {
    rows16 += '\0' + std::string(16, static_cast<char>(40 * y));  // 2 pixels of 16-bit RGBA
    rows_palette += '\0' + std::string("\x1b\x80");               // 9 of one bit
  }
  // 3 x 2 pixels in the passes of Adam7: of 1, 1, 1 and 3 pixels.
  const std::string passes = std::string("\0a\0b\0c\0def", 10);
  Seeds seeds;
  add_tiff_seeds(folder, seeds);
  const std::vector<uint8_t> rgba{9, 8, 7, 255, 6, 5, 4, 0, 3, 2, 1, 128};
  seeds.merge(Seeds{
      {"interlaced.png", interlaced(png(3, 2, 8, 0, passes))},
      {"turned.png", png_with_exif(encode_png(grey), 6)},
      {"rgb.webp", webp_of(rgb.pixels, rgb.width, rgb.height)},
      {"rgba.webp", webp_of(rgba, 3, 1, true)},
      {"turned.webp", webp_with_exif(webp_of(rgb.pixels, rgb.width, rgb.height), rgb.width, rgb.height, 8)},
      {"turned.jpg", jpeg_with_exif(encode_jpeg(grey, 80), 3)},
      {"grey.pgm", "P5 3 2 255\n" + std::string("abcdef")},
      {"deep.pgm", "P2 # text\n3 1 4095\n0 7 4095\n"},
      {"bits.pbm", "P4 9 1\n" + std::string("\xAA\x80")}});
  seeds.merge(Seeds{{"five.npy", npy_of("'|u1'", "(2, 3, 5)", std::string(30, 'n'))},
                    {"deep.npy", npy_of("'>u2'", "(2, 2, 2)", std::string(16, 'n'))}});
  seeds.merge(Seeds{{"grey.png", encode_png(grey)},
                    {"rgb.png", encode_png(rgb)},
                    {"rgba16.png", png(2, 3, 16, 6, rows16)},
                    {"palette.png", png(9, 3, 1, 3, rows_palette, std::string("\0\0\0\xff\x80\x10", 6))},
                    {"grey.jpg", encode_jpeg(grey, 80)},
                    {"rgb.jpg", encode_jpeg(rgb, 95)},
                    {"rgb.bmp", bmp_of(5, 4, 24)},
                    {"rgba.bmp", bmp_of(3, 3, 32)}});
  return seeds;
}

Seeds config_seeds() {
  Calibration calibration;
  calibration.categories["part"] = {0.1, 0.2};
  TrainOptions options, anomalib, dinomaly2;
  options.data = "data", options.categories = {"a", "b"};
  anomalib.config = Config::with_preset(Preset::anomalib);
  dinomaly2.config = Config::with_preset(Preset::dinomaly2);
  return {{"paper", json_text(options.to_json())},
          {"anomalib", json_text(anomalib.to_json(), 1)},
          {"dinomaly2", json_text(dinomaly2.to_json())},
          {"few",
           R"({"preset": "anomalib", "target_blocks": [1, 2], "encoder_groups": [[0], [1]], "slim": true})"},
          {"calibration", calibration.to_text()}};
}

Seeds csv_seeds() {
  return {{"list", "path,label,mask,category\na.png,good,,x\nb.png,scratch,a.png,x\n"},
          {"split", "path,label,split\r\na.png,0,train\r\nb.png,\"1\",test\r\n"},
          {"visa", "object,split,label,image,mask\nx,train,normal,a.png,\nx,test,anomaly,b.png,a.png\n"},
          {"log", "iteration,loss,lr,grad_norm,images_per_second\n0,0.5,0,1,2\n1,0.25,1e-3,1,2\n"}};
}

Seeds real_iad_seeds() {
  return {
      {"part",
       R"({"meta": {"normal_class": "OK"}, "train": [{"anomaly_class": "OK", "image_path": "a.png", )"
       R"("mask_path": null}], "test": [{"anomaly_class": "NG", "image_path": "b.png", "mask_path": "a.png"}]})"}};
}

Seeds sharded_seeds() {
  return {{"whole",
           R"({"metadata": {"total_size": 24}, "weight_map": {"a": "a.safetensors", "b": "b.safetensors", )"
           R"("c": "b.safetensors"}})"},
          {"outside", R"({"weight_map": {"a": "../a.safetensors"}})"},
          {"one", R"({"weight_map": {"a": "a.safetensors"}})"}};
}

Seeds tiff_seeds(const TemporaryFolder& folder) {
  save_tiff_map(folder / "map.tiff", Tensor::ones({3, 5}));
  Seeds seeds{{"map", read_file(folder / "map.tiff", most_bytes)}};
  for (const int bits : {16, 64}) {
    TiffFormat format{.width = 2, .height = 2, .bits = bits, .tile = bits == 16 ? 16 : 0};
    format.format = SAMPLEFORMAT_IEEEFP;
    write_tiff(folder / "floats.tiff", format, {std::string(static_cast<size_t>(bits / 2), '\x38')});
    seeds[fmt::format("f{}", bits)] = read_file(folder / "floats.tiff", most_bytes);
  }
  return seeds;
}

}  // namespace

Seeds seeds_of(std::string_view target) {
  const TemporaryFolder folder;
  if (target == "safetensors") return safetensors_seeds(folder);
  if (target == "torch_zip") return torch_seeds(true);
  if (target == "pickle") return torch_seeds(false);
  if (target == "image") return image_seeds(folder);
  if (target == "config") return config_seeds();
  if (target == "csv") return csv_seeds();
  if (target == "real_iad") return real_iad_seeds();
  if (target == "sharded") return sharded_seeds();
  if (target == "tiff") return tiff_seeds(folder);
  throw std::runtime_error("no seeds of '" + std::string(target) + "'");
}

}  // namespace dinomaly::fuzz
