// dinomaly predict of a video: a line for each frame that is judged, a video of overlays.
#pragma once

#include <cstdint>
#include <string>

#include "dinomaly/alarm/alarm.h"
#include "dinomaly/cli/prediction_writer.h"
#include "dinomaly/inference/predict.h"

namespace CLI {
class App;
}

namespace dinomaly {

struct VideoFlags {
  int64_t every = 1;   // frames; the others are not judged
  double give_up = 0;  // seconds after which a lost stream is an error; 0: never
};

// --every, --give-up.
void add_video_flags(CLI::App& command, VideoFlags& flags);

// Throws InputError naming `model` where it takes depth or other channels than a video has.
void check_takes_video(const Config& config, const std::string& model);

struct VideoRun {
  std::string name;
  VideoFlags flags;
  PredictionWriter::Options writing;  // lines, thresholds, folder of the video of overlays
};

struct VideoOutcome {
  bool anomalous = false;
  bool failed = false;  // something was not judged or written
};

// Judges all frames of a file, as fast as they can be; of a camera or a stream always the newest, until it ends or a signal
// comes. Throws InputError where the video cannot be opened, breaks off, or stays lost.
VideoOutcome predict_video(const VideoRun& run, const Predictor& predictor);

}  // namespace dinomaly
