#include "dinomaly/cli/predict_video.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/base/shown_address.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/cli/number_checks.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/inference/streams.h"
#include "dinomaly/report/prediction_output.h"
#include "dinomaly/video/newest_frame.h"
#include "dinomaly/video/video_name.h"
#include "dinomaly/video/video_source.h"
#include "dinomaly/video/video_writer.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

bool stopped() { return StopSignal::number() != 0; }

// "2026-01-31T12:00:00.123Z"
std::string time_now() {
  const auto now = std::chrono::system_clock::now();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     milliseconds % 1000);
}

// What of a frame is no pixel.
struct FrameFacts {
  int64_t number = 0;
  double seconds = 0;
  std::string time;     // of day; empty: of a file
  int64_t dropped = 0;  // frames of the stream, so far
};

// Where overlays go: FOLDER/NAME_overlay.mp4.
std::filesystem::path overlay_path(const std::string& name, const std::filesystem::path& folder) {
  std::string stem = std::filesystem::path(shown_address(name)).stem().string();
  for (char& c : stem) {
    if (c == '%' || c == ':' || c == '?' || c == '*' || c == '@') c = '_';
  }
  if (stem.empty() || stem == "." || stem == "..") stem = "video";
  return folder / (stem + "_overlay.mp4");
}

// Lines, alarms and overlays of the frames, in their order. The overlays become a video instead of a file for each.
class FrameSink {
 public:
  FrameSink(const VideoRun& run, Progress& progress, double rate)
      : output_(run.writing.output), writer_(without_files(run.writing), OutputNames({}, ""), progress) {
    if (!output_.folder.empty() && output_.overlays)
      overlays_.emplace(overlay_path(run.name, output_.folder), rate);
  }

  void take(const InputImage& image, const Prediction& prediction, const FrameFacts& facts) {
    nlohmann::json more{{"frame", facts.number}, {"seconds", std::round(facts.seconds * 1000) / 1000}};
    if (!facts.time.empty()) more["time"] = facts.time, more["dropped"] = facts.dropped;
    if (overlays_ && image.error.empty())
      overlays_->add(draw_prediction(image.rgb, prediction, output_), facts.seconds);
    writer_.write(image, prediction, more);
  }

  VideoOutcome finish() {
    if (overlays_) overlays_->finish();
    writer_.finish(stopped());
    return {writer_.any_anomalous(), writer_.damaged() > 0};
  }

 private:
  static PredictionWriter::Options without_files(PredictionWriter::Options options) {
    options.output.folder.clear();
    return options;
  }

  OutputOptions output_;
  PredictionWriter writer_;
  std::optional<VideoWriter> overlays_;
};

// Throws InputError where the region of interest is not of such frames: they all have one size.
InputImage input_of(VideoFrame& frame, const std::string& name, const Predictor& predictor) {
  const std::string why = predictor.misfit(frame.rgb.width, frame.rgb.height);
  check_input(why.empty(), "{}: {}", name, why);
  InputImage image;
  image.path = fmt::format("{}#{}", name, frame.number);
  prepare_input(image, std::move(frame.rgb), predictor.pixels(),
                [&](const Image& rgb) { return predictor.inputs(rgb); });
  return image;
}

// Every frame of a file: they wait for the model.
void judge_file(VideoSource& source, const VideoRun& run, const Predictor& predictor, FrameSink& sink) {
  std::mutex mutex;
  std::deque<FrameFacts> facts;  // of frames that the sink has not got
  Streams streams(predictor, [&](const InputImage& image, const Prediction& prediction) {
    FrameFacts of_this;
    {
      const std::lock_guard lock(mutex);
      of_this = std::move(facts.front());
      facts.pop_front();
    }
    sink.take(image, prediction, of_this);
  });
  const std::string name = shown_address(run.name);
  std::vector<InputImage> ready;
  const auto hand_over = [&] {
    if (!ready.empty()) streams.add(std::move(ready));
    ready.clear();
  };
  std::exception_ptr broken;
  try {
    while (!stopped()) {
      std::optional<VideoFrame> frame = source.next(run.flags.every);
      if (!frame) break;
      {
        const std::lock_guard lock(mutex);
        facts.push_back({frame->number, frame->seconds, "", 0});
      }
      ready.push_back(input_of(*frame, name, predictor));
      if (ready.size() >= Streams::wanted(predictor)) hand_over();
    }
  } catch (const InputError&) {
    broken = std::current_exception();  // once what came before is judged
  }
  hand_over();
  streams.finish();
  if (broken) std::rethrow_exception(broken);
}

// Always the newest frame: all threads share it, so that its verdict is out soon.
void judge_live(std::unique_ptr<VideoSource> source, const VideoRun& run, const Predictor& predictor,
                FrameSink& sink, Progress& progress) {
  NewestFrame frames(
      std::move(source), run.name, stopped,
      {.every = run.flags.every, .give_up = run.flags.give_up, .say = [&](const std::string& line) {
         print_error("dinomaly: {}\n", one_line(line));
       }});
  const std::string name = shown_address(run.name);
  int64_t judged = 0;
  const auto report = [&] {
    progress.make_room();
    print_error("dinomaly: {} judged, {} dropped because newer ones had come\n", counted(judged, "frame"),
                frames.dropped());
  };
  try {
    while (std::optional<VideoFrame> frame = frames.next()) {
      const FrameFacts facts{frame->number, frame->seconds, time_now(), frames.dropped()};
      std::vector<InputImage> images;
      images.push_back(input_of(*frame, name, predictor));
      const std::vector<Prediction> predictions = predictor.predict_each(images);
      sink.take(images[0], predictions[0], facts);
      ++judged;
    }
  } catch (const InputError&) {
    report();
    throw;
  }
  report();
}

}  // namespace

void add_video_flags(CLI::App& command, VideoFlags& flags) {
  command.add_option("--every", flags.every, "of a video: judge every N-th frame and leave out the others")
      ->check(above_zero())
      ->capture_default_str();
  command
      .add_option("--give-up", flags.give_up,
                  "of a stream or a camera: end when it has been lost for so many seconds (default: go on "
                  "connecting until Ctrl-C)")
      ->check(above_zero());
}

void check_takes_video(const Config& config, const std::string& model) {
  const int64_t channels = config.image.pixels.channels;
  check_input(!config.with_depth, "{}: it takes images with depth, which a video has not", model);
  check_input(channels == 1 || channels == 3, "{}: it takes images of {} channels, and a video has 3", model,
              channels);
}

VideoOutcome predict_video(const VideoRun& run, const Predictor& predictor) {
  auto source = std::make_unique<VideoSource>(run.name, stopped);
  const bool live = source->live();
  const int64_t frames = source->frame_count();
  Progress progress("predict", frames > 0 ? (frames + run.flags.every - 1) / run.flags.every : 0);
  FrameSink sink(run, progress, source->frame_rate() / static_cast<double>(run.flags.every));
  if (live) print_error("dinomaly: watching {}; Ctrl-C ends it\n", shown_address(run.name));
  int64_t undecoded = 0;
  std::exception_ptr broken;
  try {
    if (live) {
      judge_live(std::move(source), run, predictor, sink, progress);
    } else {
      judge_file(*source, run, predictor, sink);
      undecoded = source->undecoded();
    }
  } catch (const InputError&) {
    broken = std::current_exception();  // the overlays of what was judged are kept
  }
  VideoOutcome outcome = sink.finish();
  if (broken) std::rethrow_exception(broken);
  if (undecoded > 0) {
    print_error("dinomaly: {}: {} could not be decoded\n", shown_address(run.name),
                counted(undecoded, "frame"));
    outcome.failed = true;
  }
  return outcome;
}

}  // namespace dinomaly
