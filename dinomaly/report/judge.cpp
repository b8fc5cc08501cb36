#include "dinomaly/report/judge.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/companions.h"
#include "dinomaly/data/manta.h"
#include "dinomaly/image/pixel_rows.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  if (from.empty()) return text;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// Grey and RGB, with or without an alpha, as a file of the same pixels would be read.
Image in_rgb(const Image& pixels) {
  Image rgb(pixels.width, pixels.height, 3);
  const int64_t channels = pixels.channels;
  const bool grey = channels <= 2;
  const uint8_t* from = pixels.pixels.data();
  for (uint8_t* to = rgb.pixels.data(); to != rgb.pixels.data() + rgb.pixels.size();
       to += 3, from += channels) {
    to[0] = from[0];
    to[1] = from[grey ? 0 : 1];
    to[2] = from[grey ? 0 : 2];
  }
  return rgb;
}

void check_no_depth(const Detector& detector, const std::string& name) {
  check_input(!detector.config().with_depth,
              "{}: the model takes images with depth: give the path of a file, which its depth is found by",
              name);
}

// A copy of the bytes that readers of files can open.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(memfd_create("dinomaly", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "memfd_create");
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written < 0) {
        close(descriptor_);
        throw std::bad_alloc();
      }
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::filesystem::path path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

}  // namespace

Judge::Judge(const JudgeFlags& flags)
    : detector_(open_detector(flags.detector)),
      inspection_(inspection_for(flags.inspection, detector_)),
      options_(verdict_options(flags.verdict, flags.detector.model, detector_.calibration, inspection_)),
      predictor_(*detector_.model, inspection_, flags.detector.batch) {}

Picture Judge::picture_of(const std::filesystem::path& path) const {
  if (detector_.judges_strips() && shows_views(path)) return refused_views(path);
  return detector_.config().with_depth ? picture_with_depth(path) : Picture(path);
}

Judgement Judge::judge_picture(const Picture& picture, const std::string& name) const {
  ReadAhead reader(in_order({picture}), [&](const Image& rgb) { return predictor_.inputs(rgb); },
                   {.most_ahead = 1, .pixels = predictor_.pixels(), .tiling = predictor_.tiling()});
  return judge(std::move(reader.next(1).at(0)), name);
}

Judgement Judge::judge(InputImage image, const std::string& name) const {
  std::vector<InputImage> images;
  images.push_back(std::move(image));
  Judgement result;
  result.prediction = std::move(predictor_.predict_each(images)[0]);
  const InputImage& judged = images[0];
  check_input(judged.error.empty(), "{}", replaced(judged.error, judged.path.string(), name));
  result.verdict = write_prediction(judged, result.prediction, {}, options_);
  result.verdict.path = name;
  result.verdict.warnings =
      detector_.training_images.value_or(TrainingImages{}).warnings(judged, inspection_.tiling.on());
  return result;
}

Judgement Judge::judge_file(const std::filesystem::path& path) const {
  return judge_picture(picture_of(path), path.string());
}

Judgement Judge::judge_bytes(std::string_view bytes, const std::string& name) const {
  check_no_depth(detector_, name);
  const MemoryFile file(bytes);
  return judge_picture(picture_of(file.path()), name);
}

Judgement Judge::judge_pixels(Image pixels, const std::string& name) const {
  check_no_depth(detector_, name);
  check_input(pixels.width > 0 && pixels.height > 0, "{}: {} x {} pixels", name, pixels.width, pixels.height);
  check_input(ReadLimits{}.hold(pixels.width, pixels.height),
              "{}: {} x {} pixels are more than are judged at once", name, pixels.width, pixels.height);
  const int64_t wanted = predictor_.pixels().channels;
  if (wanted == 1 || wanted == 3) {
    check_input(pixels.channels >= 1 && pixels.channels <= 4, "{}: {} channels (expected 1, 2, 3 or 4)", name,
                pixels.channels);
    if (pixels.channels != 3) pixels = in_rgb(pixels);
  } else {
    check_input(pixels.channels == wanted, "{}: {} channels; the model has {}", name, pixels.channels,
                wanted);
  }
  InputImage image;
  image.path = name;
  prepare_input(image, std::move(pixels), predictor_.pixels(),
                [&](const Image& rgb) { return predictor_.inputs(rgb); });
  return judge(std::move(image), name);
}

}  // namespace dinomaly
