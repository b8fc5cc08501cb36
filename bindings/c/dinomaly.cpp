// include/dinomaly.h over dinomaly/report/judge.h.
#include "include/dinomaly.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "bindings/held_signals.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/report/judge.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

using namespace dinomaly;

struct dinomaly_detector {
  Judge judge;
};

struct dinomaly_result {
  Judgement judgement;
  std::string json;
};

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

// A call that breaks the contract of dinomaly.h.
class BadArgument : public Error {
 public:
  using Error::Error;
};

template <class... Args>
void check_argument(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) throw BadArgument(fmt::format(format, std::forward<Args>(args)...));
}

std::string& last_error() {
  thread_local std::string text;
  return text;
}

// Messages call an option by its flag; here it is a member.
dinomaly_status failed(dinomaly_status status, const char* why) noexcept {
  try {
    std::string line = one_line(why);
    if (line.starts_with("--")) line.erase(0, 2);
    last_error() = std::move(line);
  } catch (...) {
    last_error().clear();  // no memory for the text
  }
  return status;
}

// The status of `work`, whatever it throws.
template <class Work>
dinomaly_status guarded(const Work& work) noexcept {
  try {
    const HeldSignals signals;
    work();
    return DINOMALY_OK;
  } catch (const BadArgument& error) {
    return failed(DINOMALY_BAD_ARGUMENT, error.what());
  } catch (const InputError& error) {
    return failed(DINOMALY_BAD_INPUT, error.what());
  } catch (const OutOfMemory& error) {
    return failed(DINOMALY_OUT_OF_MEMORY, error.what());
  } catch (const std::bad_alloc&) {
    return failed(DINOMALY_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(DINOMALY_INTERNAL_ERROR, error.what());
  } catch (...) {
    return failed(DINOMALY_INTERNAL_ERROR, "internal error");
  }
}

std::string text_of(const char* text) { return text == nullptr ? "" : text; }

template <class T>
std::optional<T> value_of(const T* value) {
  return value == nullptr ? std::nullopt : std::optional<T>(*value);
}

// The caller's options as this version knows them: an older caller's are shorter, a newer one's longer, and zeros ask for
// nothing.
dinomaly_options known(const dinomaly_options& given) {
  dinomaly_options options = {};
  check_argument(given.size >= sizeof given.size, "options: size is {}; set it to sizeof(dinomaly_options)",
                 given.size);
  std::memcpy(&options, &given, std::min(given.size, sizeof options));
  const auto* bytes = reinterpret_cast<const unsigned char*>(&given);
  for (size_t i = sizeof options; i < given.size; ++i)
    check_argument(bytes[i] == 0, "options: something is asked for that version {} does not know",
                   dinomaly_version());
  return options;
}

JudgeFlags flags_of(const char* model, const dinomaly_options& options) {
  JudgeFlags flags;
  flags.detector.model = model;
  flags.detector.encoder = text_of(options.encoder);
  if (options.device != nullptr) flags.detector.device = options.device;
  check_input(options.heads >= 0 && options.heads <= 4096, "--heads: {} is not from 0 to 4096",
              options.heads);
  check_input(options.batch >= 0 && options.batch <= 4096, "--batch: {} is not from 0 to 4096",
              options.batch);
  check_input(options.threads >= 0 && options.threads <= 1024, "--threads: {} is not from 0 to 1024",
              options.threads);
  flags.detector.heads = options.heads;
  if (options.batch > 0) flags.detector.batch = options.batch;
  flags.detector.threads = options.threads;
  flags.detector.fast = options.fast != 0;
  if (options.area != nullptr) flags.inspection.area = options.area;
  if (options.tile != 0) flags.inspection.tile = options.tile;
  flags.inspection.overlap = value_of(options.overlap);
  if (options.roi != nullptr) flags.inspection.roi = options.roi;
  flags.verdict.category = text_of(options.category);
  flags.verdict.threshold = value_of(options.threshold);
  flags.verdict.pixel_threshold = value_of(options.pixel_threshold);
  if (options.min_area != 0) flags.verdict.min_area = options.min_area;
  return flags;
}

// Calls judge(const Judge&) and hands out what it returns.
template <class Judging>
dinomaly_status predict(const dinomaly_detector* detector, dinomaly_result** result, const Judging& judge) {
  if (result != nullptr) *result = nullptr;
  return guarded([&] {
    check_argument(detector != nullptr, "detector is NULL");
    check_argument(result != nullptr, "result is NULL");
    auto made = std::make_unique<dinomaly_result>();
    made->judgement = judge(detector->judge);
    made->judgement.prediction.map();  // from now on it is only read
    made->json = json_text(to_json(made->judgement.verdict));
    *result = made.release();
  });
}

// Rows without gaps.
Image packed(const uint8_t* pixels, int64_t width, int64_t height, int64_t channels, int64_t stride) {
  check_argument(width >= 1 && height >= 1, "pixels: {} x {} is no size", width, height);
  check_argument(channels >= 1 && channels <= most_channels, "pixels: {} channels (expected 1 to {})",
                 channels, most_channels);
  check_input(ReadLimits{}.hold(width, height), "image: {} x {} pixels are more than are judged at once",
              width, height);
  check_argument(stride >= width * channels, "pixels: a stride of {} bytes for rows of {}", stride,
                 width * channels);
  Image image(width, height, channels);
  for (int64_t y = 0; y < height; ++y) std::copy_n(pixels + y * stride, width * channels, image.row(y));
  return image;
}

}  // namespace

uint32_t dinomaly_abi_version(void) { return DINOMALY_ABI_VERSION; }
const char* dinomaly_version(void) { return DINOMALY_VERSION; }
const char* dinomaly_last_error(void) { return last_error().c_str(); }

dinomaly_status dinomaly_open(const char* model, const dinomaly_options* options,
                              dinomaly_detector** detector) {
  if (detector != nullptr) *detector = nullptr;
  return guarded([&] {
    check_argument(model != nullptr, "model is NULL");
    check_argument(detector != nullptr, "detector is NULL");
    *detector = new dinomaly_detector{
        Judge(flags_of(model, options == nullptr ? dinomaly_options{} : known(*options)))};
  });
}

void dinomaly_free(dinomaly_detector* detector) { delete detector; }

int64_t dinomaly_channels(const dinomaly_detector* detector) {
  return detector == nullptr ? 0 : detector->judge.predictor().pixels().channels;
}

dinomaly_status dinomaly_predict_file(const dinomaly_detector* detector, const char* path,
                                      dinomaly_result** result) {
  return predict(detector, result, [&](const Judge& judge) {
    check_argument(path != nullptr, "path is NULL");
    return judge.judge_file(path);
  });
}

dinomaly_status dinomaly_predict_encoded(const dinomaly_detector* detector, const void* bytes, size_t size,
                                         dinomaly_result** result) {
  return predict(detector, result, [&](const Judge& judge) {
    check_argument(bytes != nullptr, "bytes is NULL");
    return judge.judge_bytes({static_cast<const char*>(bytes), size}, "image");
  });
}

dinomaly_status dinomaly_predict_pixels(const dinomaly_detector* detector, const uint8_t* pixels,
                                        int64_t width, int64_t height, int64_t channels, int64_t stride,
                                        dinomaly_result** result) {
  return predict(detector, result, [&](const Judge& judge) {
    check_argument(pixels != nullptr, "pixels is NULL");
    return judge.judge_pixels(packed(pixels, width, height, channels, stride), "image");
  });
}

void dinomaly_result_free(dinomaly_result* result) { delete result; }

double dinomaly_result_score(const dinomaly_result* result) {
  return result == nullptr ? no_number : result->judgement.verdict.score;
}

dinomaly_decision dinomaly_result_decision(const dinomaly_result* result) {
  if (result == nullptr || !result->judgement.verdict.threshold) return DINOMALY_UNDECIDED;
  return result->judgement.verdict.anomalous ? DINOMALY_ANOMALOUS : DINOMALY_GOOD;
}

double dinomaly_result_threshold(const dinomaly_result* result) {
  return result == nullptr ? no_number : result->judgement.verdict.threshold.value_or(no_number);
}

double dinomaly_result_pixel_threshold(const dinomaly_result* result) {
  return result == nullptr ? no_number : result->judgement.verdict.pixel_threshold.value_or(no_number);
}

int64_t dinomaly_result_width(const dinomaly_result* result) {
  return result == nullptr ? 0 : result->judgement.verdict.width;
}

int64_t dinomaly_result_height(const dinomaly_result* result) {
  return result == nullptr ? 0 : result->judgement.verdict.height;
}

const float* dinomaly_result_map(const dinomaly_result* result) {
  return result == nullptr ? nullptr
                           : static_cast<const float*>(result->judgement.prediction.map().raw_data());
}

size_t dinomaly_result_region_count(const dinomaly_result* result) {
  return result == nullptr ? 0 : result->judgement.verdict.regions.size();
}

dinomaly_status dinomaly_result_region(const dinomaly_result* result, size_t index, dinomaly_region* region) {
  return guarded([&] {
    check_argument(result != nullptr, "result is NULL");
    check_argument(region != nullptr, "region is NULL");
    const std::vector<Region>& regions = result->judgement.verdict.regions;
    check_argument(index < regions.size(), "region {} of {}", index, regions.size());
    const Region& from = regions[index];
    *region = {from.box.x,  from.box.y,  from.box.width, from.box.height, from.area,
               from.peak_x, from.peak_y, from.peak,      from.centroid_x, from.centroid_y};
  });
}

const char* dinomaly_result_json(const dinomaly_result* result) {
  return result == nullptr ? nullptr : result->json.c_str();
}
