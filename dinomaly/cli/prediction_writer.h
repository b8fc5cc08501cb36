// What happens with a prediction of dinomaly predict: files, the verdict, and only then the image's move.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "dinomaly/alarm/alarm.h"
#include "dinomaly/base/progress.h"
#include "dinomaly/cli/image_source.h"
#include "dinomaly/cli/warning_log.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/report/object_output.h"
#include "dinomaly/report/prediction_output.h"

namespace dinomaly {

class PredictionWriter {
 public:
  enum class Lines { text, json, csv };
  struct Options {
    Lines lines = Lines::text;
    std::string moved_to;  // folder that judged images are moved to; empty: they stay
    OutputOptions output;
    TrainingImages training_images;
    bool tiled = false;
    bool with_depth = false;                  // images are moved with what belongs to them (companions.h)
    std::optional<ObjectJudge> objects = {};  // none: images are not judged as objects
    Alarm* alarm = nullptr;                   // told of anomalies; null: nobody is
    std::string undecided = {};  // said before the first image without a decision; empty: nothing
  };
  // Prints the header of a CSV. `progress` must outlive the writer.
  PredictionWriter(Options options, OutputNames names, Progress& progress);

  // Prints the verdict, or the image's error, and whatever went wrong with files, a line each. `more`: further fields of
  // its JSON.
  void write(const InputImage& image, const Prediction& prediction,
             const nlohmann::json& more = nlohmann::json::object());
  // Prints the verdicts on objects that have not come out yet, and counts the warnings that were left out. `stopped`:
  // not all images of folders have come, so that those have none.
  void finish(bool stopped);

  bool any_anomalous() const { return anomalous_; }
  // Images that came, and those of them that could not be read or judged.
  int64_t images() const { return images_; }
  int64_t damaged() const { return damaged_; }
  int64_t incomplete() const { return incomplete_; }  // objects that lack an image or have one too many
  // Whether a whole image was not judged, a file not written or an image not moved.
  bool any_failed() const { return failed_; }

 private:
  void print(const Verdict& verdict, const nlohmann::json& line);
  void print(const ObjectVerdict& verdict);
  void raise(const nlohmann::json& verdict);
  void complain(const std::string& line);
  void fail(const std::string& why);
  // The name of the files about the image. Where images are moved none replaces another, so that all of them stay: then
  // neither do the files about them.
  std::filesystem::path output_name(const std::filesystem::path& image);
  // Into the folder of the verdict.
  void move(const std::filesystem::path& image, bool decided, bool anomalous);

  Options options_;
  OutputNames names_;
  Progress& progress_;
  WarningLog warnings_;
  bool anomalous_ = false, failed_ = false;
  int64_t images_ = 0, damaged_ = 0, incomplete_ = 0;
  std::map<std::filesystem::path, int64_t> numbers_;  // the last that was added to a name
};

}  // namespace dinomaly
