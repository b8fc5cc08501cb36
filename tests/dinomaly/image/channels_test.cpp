// Images of one channel, and of more than three.
#include <doctest/doctest.h>

#include <functional>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/picture.h"
#include "dinomaly/image/preprocess.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/image/resize.h"
#include "dinomaly/image/tile_reader.h"
#include "tests/dinomaly/image/npy_writer.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

using Bytes = std::vector<uint8_t>;

PixelRules channels(int64_t count, int64_t bit_depth = 0) {
  return {.exif_orientation = true, .bit_depth = bit_depth, .channels = count};
}

Image counted(int64_t width, int64_t height, int64_t count) {
  Image image(width, height, count);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(7 * i + i / 256);
  return image;
}

TiffFormat tiff_of(const Image& image) {
  return {.width = static_cast<int>(image.width),
          .height = static_cast<int>(image.height),
          .samples = static_cast<int>(image.channels)};
}

Image channel_of(const Image& image, int64_t channel) {
  Image one(image.width, image.height, 1);
  for (size_t i = 0; i < one.pixels.size(); ++i)
    one.pixels[i] = image.pixels[i * static_cast<size_t>(image.channels) + static_cast<size_t>(channel)];
  return one;
}

std::string refusal(const std::filesystem::path& path, int64_t count) {
  return input_error([&] { load_image(path, channels(count)); });
}

}  // namespace

TEST_CASE("channels: a TIFF of 2, 5 and 16 samples, together and apart, in strips and tiles") {
  const TemporaryFolder folder;
  for (const int64_t count : {2, 5, 16}) {
    const Image image = counted(37, 22, count);
    for (const bool apart : {false, true}) {
      for (const int tile : {0, 16}) {
        CAPTURE(count);
        CAPTURE(apart);
        CAPTURE(tile);
        TiffFormat format = tiff_of(image);
        format.apart = apart, format.tile = tile;
        write_tiff(folder / "a.tif", format, {text_of(image.pixels)});
        CHECK(load_image(folder / "a.tif", channels(count)) == image);
        format.orientation = 6;
        write_tiff(folder / "a.tif", format, {text_of(image.pixels)});
        CHECK(load_image(folder / "a.tif", channels(count)) == turned(image, 6));
      }
    }
  }
}

TEST_CASE("channels: 16 bits are made 8 by the rule of the model, whose depth all channels decide") {
  const TemporaryFolder folder;
  const std::vector<uint16_t> values{0, 255, 256, 4095, 4096, 65535, 1, 2, 3, 4};
  const TiffFormat format{.width = 2, .height = 1, .bits = 16, .samples = 5};
  for (const bool apart : {false, true}) {
    TiffFormat one = format;
    one.apart = apart;
    write_tiff(folder / "a.tif", one, {bytes_of(values)});
    CHECK(load_image(folder / "a.tif", channels(5)).pixels == Bytes{0, 0, 1, 15, 16, 255, 0, 0, 0, 0});
    CHECK(load_image(folder / "a.tif", channels(5, 12)).pixels ==
          Bytes{0, 15, 16, 255, 255, 255, 0, 0, 0, 0});
  }
  // 2 pixels of grey and alpha: the alpha counts only where it is a channel.
  const std::string row("\0\x01\x00\x0F\xFF\x02\x00\x03\x00", 9);
  write_file(folder / "a.png", png(2, 1, 16, 4, row));
  CHECK(largest_deep_sample(folder / "a.png", 65536) == 0x200);
  CHECK(largest_deep_sample(folder / "a.png", 65536, 2) == 0xFFF);
  CHECK(load_image(folder / "a.png", channels(2, 12)).pixels == Bytes{0x10, 0xFF, 0x20, 0x30});
  write_tiff(folder / "a.tif", {.width = 1, .height = 1, .bits = 16, .samples = 5},
             {bytes_of(std::vector<uint16_t>{1, 2, 3, 4, 1023})});
  CHECK(largest_deep_sample(folder / "a.tif", 65536, 5) == 1023);
}

TEST_CASE("channels: an alpha is a channel of PNG and WebP where 2 or 4 are asked for") {
  const TemporaryFolder folder;
  write_file(folder / "la.png", png(2, 1, 8, 4, std::string("\0\x07\x80\x08\x00", 5)));
  CHECK(load_image(folder / "la.png", channels(2)).pixels == Bytes{7, 128, 8, 0});
  CHECK(load_image(folder / "la.png", channels(1)).pixels == Bytes{7, 8});
  write_file(folder / "rgba.png", png(1, 1, 8, 6, std::string("\0\1\2\3\4", 5)));
  CHECK(load_image(folder / "rgba.png", channels(4)).pixels == Bytes{1, 2, 3, 4});
  CHECK(load_image(folder / "rgba.png", channels(3)).pixels == Bytes{1, 2, 3});
  write_file(folder / "rgba.webp", webp_of({9, 8, 7, 255, 6, 5, 4, 1}, 2, 1, true));
  CHECK(load_image(folder / "rgba.webp", channels(4)).pixels == Bytes{9, 8, 7, 255, 6, 5, 4, 1});
  // RGB and near infrared, about which the TIFF says nothing.
  write_tiff(folder / "nir.tif", {.width = 1, .height = 1, .samples = 4, .photometric = PHOTOMETRIC_RGB},
             {std::string("\1\2\3\4")});
  CHECK(load_image(folder / "nir.tif", channels(4)).pixels == Bytes{1, 2, 3, 4});
  CHECK(load_image(folder / "nir.tif", channels(3)).pixels == Bytes{1, 2, 3});
}

TEST_CASE("channels: grey is the luma of colours as PIL's convert('L') gives it") {
  const TemporaryFolder folder;
  Image image(5, 1, 3);
  image.pixels = {255, 0, 0, 0, 255, 0, 0, 0, 255, 77, 77, 77, 10, 200, 30};
  save_png(folder / "a.png", image);
  CHECK(load_image(folder / "a.png", channels(1)).pixels == Bytes{76, 150, 29, 77, 124});
  write_file(folder / "palette.png",
             png(2, 1, 8, 3, std::string("\0\1\0", 3), std::string("\0\xFF\0\xFF\0\0", 6)));
  CHECK(load_image(folder / "palette.png", channels(1)).pixels == Bytes{76, 150});
  const std::string deep("\0\x12\xFF", 3);
  write_file(folder / "deep.png", png(1, 1, 16, 0, deep));
  CHECK(load_image(folder / "deep.png", channels(1)).pixels == Bytes{0x12});
}

TEST_CASE("channels: arrays of NumPy, of 8 and 16 bits in either byte order") {
  const TemporaryFolder folder;
  const Image image = counted(3, 2, 5);
  write_file(folder / "a.npy", npy_of("'|u1'", "(2, 3, 5)", text_of(image.pixels)));
  CHECK(load_image(folder / "a.npy", channels(5)) == image);
  CHECK(kind_of(folder / "a.npy") == FileKind::image);
  write_file(folder / "little.npy", npy_of("'<u2'", "(1, 1, 2)", std::string("\x34\x02\xFF\x0F", 4)));
  write_file(folder / "big.npy", npy_of("'>u2'", "(1, 1, 2)", std::string("\x02\x34\x0F\xFF", 4)));
  for (const char* name : {"little.npy", "big.npy"}) {
    CHECK(load_image(folder / name, channels(2)).pixels == Bytes{2, 15});
    CHECK(load_image(folder / name, channels(2, 12)).pixels == Bytes{0x23, 255});
    CHECK(largest_deep_sample(folder / name, 65536, 2) == 0xFFF);
  }
  write_file(folder / "rgb.npy", npy_of("'|u1'", "(1, 2, 3)", std::string("\1\2\3\4\5\6")));
  CHECK(load_image_rgb(folder / "rgb.npy").pixels == Bytes{1, 2, 3, 4, 5, 6});
  write_file(folder / "grey.npy", npy_of("'|u1'", "(1, 2, 1)", std::string("\1\2")));
  CHECK(load_image(folder / "grey.npy", channels(1)).pixels == Bytes{1, 2});
  // Of one channel, with its axis at the end, in front where nothing else can be meant, or without one.
  for (const char* shape : {"(2, 20)", "(2, 20, 1)", "(1, 2, 20)"}) {
    CAPTURE(shape);
    const Image plane = counted(20, 2, 1);
    write_file(folder / "plane.npy", npy_of("'|u1'", shape, text_of(plane.pixels)));
    CHECK(kind_of(folder / "plane.npy") == FileKind::image);
    CHECK(load_image(folder / "plane.npy", channels(1)) == plane);
    CHECK(load_image_rgb(folder / "plane.npy").pixels[5 * 3 + 2] == plane.pixels[5]);
  }
  write_file(folder / "plane.npy", npy_of("'|u1'", "(1, 2, 16)", text_of(counted(2, 1, 16).pixels)));
  CHECK(load_image(folder / "plane.npy", channels(16)) == counted(2, 1, 16));
  CHECK(one_line_with(
      input_error([&] { load_image_rgb(folder / "a.npy"); }),
      "a.npy: an array of 5 channels is not read where grey or RGB is expected; a model trained with "
      "--channels 5 takes them"));
}

TEST_CASE("channels: an array that is no image is no image of a folder, and is refused by what it is") {
  const TemporaryFolder folder;
  const auto path = folder / "a.npy";
  const auto refused = [&](const std::string& bytes, const std::string& expected) {
    write_file(path, bytes);
    const std::string message = refusal(path, 5);
    CHECK_MESSAGE(one_line_with(message, expected), message);
  };
  const std::string pixels(30, 'x');
  refused(npy_of("'<f8'", "(2, 3, 5)", pixels), "a.npy: an array of '<f8'; only those of uint8 and uint16");
  CHECK(kind_of(path) == FileKind::other);
  refused(npy_of("'|u1'", "(2, 3, 1, 5)", pixels), "a.npy: an array of the shape (2, 3, 1, 5); images");
  CHECK(kind_of(path) == FileKind::other);
  refused(npy_of("'|u1'", "(30,)", pixels), "a.npy: an array of the shape (30,); images");
  refused(npy_of("'|u1'", "(5, 2, 3)", pixels),
          "a.npy: 3 channels, but 5 are expected: a model takes as many as it was trained with");
  refused(npy_of("'|u1'", "(2, 1, 17)", pixels), "(2, 1, 17); images are (height, width, channels)");
  refused(npy_of("'|u1'", "(2, 3, 5)", pixels, "True"), "Fortran order");
  refused(npy_of("'|u1'", "(2, 3, 5)", pixels.substr(1)), "a.npy: the image is cut short");
  refused(npy_of("'|u1'", "(0, 3, 5)", pixels), "a side must be within 1..");
  refused(npy_of("'|u1'", "(99999999999999999999999, 3, 5)", pixels),
          "an array of the shape (99999999999999999999999, 3, 5); a side must be within 1..1048576");
  refused(npy_of("'|u1'", "(2, 3, " + std::string(200, '9') + ")", pixels),
          "the shape (2, 3, " + std::string(53, '9') + "...; images are");
  refused(npy_of("'|u1'", "(2,  3, 5,\x1b[1m)", pixels), "its shape makes no sense");
  refused(npy_of("'|u1'", "(1000000, 1000000, 16)", pixels), "a.npy: the image is cut short");
  refused(npy_of("'|u1'", "(2, -3, 5)", pixels), "its shape makes no sense");
  refused(npy_of("'|u1'", "[2, 3, 5]", pixels), "its shape makes no sense");
  refused(npy_of("[('a', '|u1'), ('b', '<f4', (2, 3))]", "(2, 3, 5)", pixels),
          "an array of [('a', '|u1'), ('b', '<f4', (2, 3))]; only those of uint8 and uint16");
  refused(npy_of("[('" + std::string(100, 'a') + "', '|u1')]", "(2, 3, 5)", pixels),
          "an array of [('" + std::string(57, 'a') + "...; only those");
  refused(npy_of("[('\x1b[2J,', '|u1')]", "(2, 3, 5)", pixels), "an array of [('?[2J,', '|u1')]; only");
  refused(std::string("\x93NUMPY\x01\x00\xFF\xFF{", 11), "cut short");
  refused(std::string("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF{", 13), "cut short");
  refused(std::string("\x93NUMPY\x09\x00\x01\x00{", 11), "format 9");
  refused(std::string("\x93NUMPY\x01\x00\x02\x00{}", 12), "no 'descr'");
  refused(std::string("\x93NUMPY"), "cut short");
}

TEST_CASE("channels: another number of samples is refused by file, number found and number expected") {
  const TemporaryFolder folder;
  for (const int64_t count : {4, 6, 17}) {
    const Image image = counted(4, 3, count);
    write_tiff(folder / "a.tif", tiff_of(image), {text_of(image.pixels)});
    CHECK(one_line_with(refusal(folder / "a.tif", 5),
                        fmt::format("a.tif: {} channels, but 5 are expected", count)));
    if (count < 5) continue;
    for (const int64_t colours : {1, 3})
      CHECK(one_line_with(
          refusal(folder / "a.tif", colours),
          fmt::format("a.tif: a TIFF of {} samples per pixel is not read where grey or RGB is expected{}",
                      count, count > 16 ? "" : "; a model trained with --channels 6 takes them")));
  }
  save_png(folder / "a.png", Image(2, 2, 1));
  CHECK(one_line_with(refusal(folder / "a.png", 2), "a.png: 1 channel, but 2 are expected"));
  write_file(folder / "b.png", png(2, 1, 8, 3, std::string("\0\1\0", 3), std::string("\0\xFF\0\xFF\0\0", 6)));
  CHECK(one_line_with(refusal(folder / "b.png", 4),
                      "b.png: colours of a palette, but 4 channels are expected"));
  TiffFormat floats{.width = 1, .height = 1, .bits = 32, .samples = 5, .format = SAMPLEFORMAT_IEEEFP};
  write_tiff(folder / "f.tif", floats, {std::string(20, '\0')});
  CHECK(one_line_with(refusal(folder / "f.tif", 5),
                      "f.tif: floating-point numbers of 32 bits; images have unsigned"));
}

TEST_CASE("channels: a TIFF of many samples that is cut short, or has no end of them, is refused") {
  const TemporaryFolder folder;
  const Image image = counted(40, 30, 5);
  for (const bool apart : {false, true}) {
    TiffFormat format = tiff_of(image);
    format.apart = apart, format.tile = 16;
    write_tiff(folder / "whole.tif", format, {text_of(image.pixels)});
    const std::string bytes = read_file(folder / "whole.tif", 1 << 20);
    for (size_t size : {bytes.size() / 3, bytes.size() - 20, size_t{100}}) {
      write_file(folder / "cut.tif", bytes.substr(0, size));
      CHECK(one_line_with(refusal(folder / "cut.tif", 5), "cut.tif: "));
    }
  }
  const std::string bytes = [&] {
    write_tiff(folder / "few.tif", tiff_of(image), {text_of(image.pixels)});
    return read_file(folder / "few.tif", 1 << 20);
  }();
  // Samples per pixel (tag 277, a short) becomes 65535.
  const size_t tag = bytes.find(std::string("\x15\x01\x03\x00\x01\x00\x00\x00\x05\x00", 10));
  REQUIRE(tag != std::string::npos);
  std::string hostile = bytes;
  hostile[tag + 8] = '\xFF', hostile[tag + 9] = '\xFF';
  write_file(folder / "many.tif", hostile);
  for (const int64_t count : {1, 3, 5, 16})
    CHECK(one_line_with(refusal(folder / "many.tif", count), "many.tif: "));
}

TEST_CASE("channels: each is resized and normalised as it would be alone") {
  const Image image = counted(41, 29, 7);
  ImageConfig config;
  config.resize_h = 16, config.resize_w = 20, config.crop_h = 14, config.crop_w = 12;
  config.pixels.channels = 7;
  config.mean = {0, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f}, config.std = {1, 2, 3, 4, 5, 6, 7};
  for (const ImagePipeline pipeline : {ImagePipeline::pil, ImagePipeline::torchvision}) {
    config.pipeline = pipeline;
    const Tensor whole = preprocess(image, config);
    CHECK(whole.shape() == Shape{7, 14, 12});
    for (int64_t c = 0; c < 7; ++c) {
      ImageConfig one = config;
      one.pixels.channels = 1;
      one.mean = {config.mean[static_cast<size_t>(c)]}, one.std = {config.std[static_cast<size_t>(c)]};
      CHECK(whole.slice(0, c, c + 1).contiguous().to_vector<float>() ==
            preprocess(channel_of(image, c), one).to_vector<float>());
    }
  }
  CHECK(one_line_with(input_error([&] {
                        config.std.pop_back();
                        validate(config);
                      }),
                      "std: 6 values, but images have 7 channels"));
  config.pixels.channels = 17;
  CHECK(one_line_with(input_error([&] { validate(config); }), "channels: 17 is not within 1..16"));
}

TEST_CASE("channels: people see the first three, or the first as grey") {
  Image five(1, 1, 5), two(1, 1, 2), one(1, 1, 1);
  five.pixels = {1, 2, 3, 4, 5}, two.pixels = {6, 7}, one.pixels = {8};
  CHECK(colours_of(five).pixels == Bytes{1, 2, 3});
  CHECK(colours_of(two).pixels == Bytes{6, 6, 6});
  CHECK(colours_of(one).pixels == Bytes{8, 8, 8});
}

TEST_CASE("channels: tiles have the pixels of the image read as a whole, of one channel and of five") {
  const TemporaryFolder folder;
  const Image colours = counted(70, 50, 3), five = counted(70, 50, 5);
  write_file(folder / "1", png_with_exif(encode_png(colours), 6));
  TiffFormat format = tiff_of(five);
  format.orientation = 8;
  write_tiff(folder / "5", format, {text_of(five.pixels)});
  for (const int64_t count : {1, 5}) {
    const auto path = folder / std::to_string(count);
    const Image whole = load_image(path, channels(count));
    TileReader reader(open_picture(path, strip_limits, count), channels(count), {32, 8});
    int64_t tiles = 0;
    while (const auto tile = reader.next()) {
      ++tiles;
      REQUIRE(tile->image.channels == count);
      for (int64_t y = 0; y < tile->box.height; ++y)
        CHECK(std::equal(tile->image.row(y), tile->image.row(y) + tile->box.width * count,
                         whole.at(tile->box.x, tile->box.y + y)));
    }
    CHECK(tiles == static_cast<int64_t>(tile_boxes(whole.width, whole.height, {32, 8}).size()));
    CHECK(reader.smaller() == colours_of(whole));
    CHECK_FALSE(reader.grey());
  }
}

TEST_CASE("channels: a colour image is known as such before it is made grey") {
  const TemporaryFolder folder;
  Image colours(4, 3, 3);
  colours.pixels[0] = 200;
  save_png(folder / "a.png", colours);
  save_png(folder / "b.png", Image(4, 3, 1));
  const auto read = [&](const Picture& picture, int64_t count) {
    int64_t prepared = 0;
    ReadAhead images(in_order({picture}),
                     [&](const Image& image) {
                       prepared = image.channels;
                       return Tensor::zeros({1});
                     },
                     {.pixels = channels(count)});
    InputImage image = images.next_batch(1).at(0);
    CHECK(prepared == count);
    CHECK(image.rgb.channels == 3);
    CHECK(image.channels == count);
    return image;
  };
  for (const std::optional<Strip> strip : {std::optional<Strip>(), std::optional<Strip>({0, 4})}) {
    CHECK_FALSE(read({folder / "a.png", strip}, 1).grey);
    CHECK(read({folder / "b.png", strip}, 1).grey);
    CHECK(read({folder / "a.png", strip}, 1).rgb.pixels[1] == 60);  // of 200 red
    CHECK_FALSE(read({folder / "a.png", strip}, 3).grey);
  }
  Picture with_depth(folder / "a.png");
  with_depth.depth = folder / "b.png";
  CHECK(one_line_with(input_error([&] { load_picture(with_depth, channels(1)); }),
                      "a.png: images with depth are read with 3 channels, not 1"));
}

}  // namespace dinomaly
