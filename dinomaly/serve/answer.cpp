#include "dinomaly/serve/answer.h"

#include <algorithm>
#include <new>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/npy_map.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/tiff_map.h"
#include "dinomaly/report/gallery.h"
#include "dinomaly/report/judge.h"
#include "tensor/error.h"
#include "tensor/threads.h"

namespace dinomaly {

namespace {

// Few: each may hold an image, its map and its overlay in full size.
constexpr int most_hands = 4;

class Hand {
 public:
  Hand(std::counting_semaphore<64>& hands, Deadline deadline) : hands_(hands) {
    if (!hands_.try_acquire_until(deadline)) throw Refusal(503, "not judged in time");
  }
  ~Hand() { hands_.release(); }
  Hand(const Hand&) = delete;
  Hand& operator=(const Hand&) = delete;

 private:
  std::counting_semaphore<64>& hands_;
  SerialLoops alone_;  // the other threads have images
};

}  // namespace

ByteBudget::Share ByteBudget::take(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > left_) return nullptr;
  left_ -= bytes;
  return {this, [this, bytes](void*) {
            const std::lock_guard giving(mutex_);
            left_ += bytes;
          }};
}

RequestJudge::RequestJudge(JudgeQueue& queue, ServeMetrics& metrics, int64_t max_pixels)
    : queue_(queue),
      metrics_(metrics),
      max_pixels_(max_pixels),
      hands_(std::clamp(nabla::useful_threads(), 1, most_hands)) {}

Image RequestJudge::decode(const ServedModel& model, const Upload& upload) const {
  const ReadLimits limits{.pixels = max_pixels_, .advice = ""};
  const PixelRules& pixels = model.predictor.pixels();
  const std::unique_ptr<PixelRows> rows = open_picture(upload.name, upload.bytes, limits, pixels.channels);
  check_one_view(model.detector, rows->layout(), upload.name);
  return whole_image(*rows, pixels.in_colour());
}

InputImage RequestJudge::prepare(const ServedModel& model, const Upload& upload) const {
  InputImage image;
  image.path = upload.name;
  try {
    prepare_input(image, decode(model, upload), model.predictor.pixels(),
                  [&](const Image& rgb) { return model.predictor.inputs(rgb); });
  } catch (const InputError& error) {
    image.error = error.what();
  } catch (const std::bad_alloc&) {
    image.error = fmt::format("{}: too large for this machine's memory", upload.name);
  }
  image.rgb = {};  // decoded again where an overlay is wanted: many may wait
  return image;
}

void RequestJudge::check_image(const ServedModel& model, const Upload& upload, Deadline deadline) {
  const Hand hand(hands_, deadline);
  decode(model, upload);
}

void RequestJudge::encode(const ServedModel& model, const Upload& upload, const Prediction& prediction,
                          Wanted wanted, Answer& answer) const {
  if (wanted.overlay) {
    Image rgb = decode(model, upload);
    if (model.predictor.pixels().channels == 1) rgb = in_grey(rgb);
    answer.overlay = encode_overlay(colours_of(std::move(rgb)), prediction, answer.verdict, model.output);
  }
  if (wanted.map == MapFormat::npy) answer.map = encode_npy_map(prediction.map());
  if (wanted.map == MapFormat::tiff) answer.map = encode_tiff_map(prediction.map());
}

std::vector<Answer> RequestJudge::judge(const ModelPointer& model, const std::vector<Upload>& uploads,
                                        Wanted wanted, Deadline deadline, const JudgeQueue::Place& place,
                                        ByteBudget& budget, std::vector<ByteBudget::Share>& shares) {
  std::vector<InputImage> images;
  std::vector<std::future<JudgeQueue::Outcome>> outcomes(uploads.size());
  for (size_t i = 0; i < uploads.size(); ++i) {
    {
      const Hand hand(hands_, deadline);
      images.push_back(prepare(*model, uploads[i]));
    }
    InputImage& image = images.back();
    if (!image.error.empty()) continue;
    InputImage shown = image;
    image.inputs = {};
    outcomes[i] = queue_.judge(model, std::move(shown), deadline, place);
  }
  const TrainingImages trained = model->detector.training_images.value_or(TrainingImages{});
  std::vector<Answer> answers(uploads.size());
  for (size_t i = 0; i < uploads.size(); ++i) {
    Verdict& verdict = answers[i].verdict;
    verdict.path = uploads[i].name;
    verdict.error = images[i].error;
    if (verdict.error.empty()) {
      if (outcomes[i].wait_until(deadline) != std::future_status::ready)
        throw Refusal(503, "not judged in time");
      const JudgeQueue::Outcome outcome = outcomes[i].get();
      if (outcome.is_fault) throw std::runtime_error(outcome.error);
      verdict.error = outcome.error;
      if (outcome.error.empty()) {
        const int64_t pixels = images[i].width * images[i].height;
        const int64_t bytes =
            (wanted.overlay ? 6 * pixels : 0) + (wanted.map != MapFormat::none ? 10 * pixels : 0);
        if (bytes > 0) shares.push_back(budget.take(bytes));
        if (bytes > 0 && !shares.back()) throw Refusal(503, "too many large answers are under way");
        const Hand hand(hands_, deadline);
        verdict = judge_prediction(images[i], outcome.prediction, model->output);
        verdict.warnings = trained.warnings(images[i], model->inspection.tiling.on());
        encode(*model, uploads[i], outcome.prediction, wanted, answers[i]);
      }
    }
    if (verdict.error.empty())
      metrics_.judged(model->name, verdict.score, verdict.anomalous);
    else
      metrics_.rejected(model->name);
  }
  return answers;
}

nlohmann::json to_json(const Answer& answer, const std::string& model) {
  nlohmann::json value = to_json(answer.verdict);
  value["model"] = model;
  if (!answer.overlay.empty()) value["overlay"] = base64(answer.overlay);
  if (!answer.map.empty()) value["map"] = base64(answer.map);
  return value;
}

}  // namespace dinomaly
