#include "dinomaly/cli/prediction_writer.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/move_file.h"
#include "dinomaly/base/program.h"
#include "tensor/io/printable.h"

namespace dinomaly {

PredictionWriter::PredictionWriter(Options options, OutputNames names, Progress& progress)
    : options_(std::move(options)), names_(std::move(names)), progress_(progress) {
  if (options_.object_ratio) objects_.emplace(*options_.object_ratio, options_.output.image_threshold);
  if (options_.lines == Lines::csv) fmt::print("{}\n", csv_header());
  flush_output();
}

void PredictionWriter::write(const InputImage& image, const Prediction& prediction) {
  Verdict verdict;
  if (image.error.empty()) {
    verdict = write_prediction(image, prediction, names_(image.path), options_.output);
    verdict.warnings = options_.training_images.warnings(image, options_.tiled);
    warnings_.add(image.path, verdict.warnings, progress_);
  } else {
    verdict.path = image.path;
    verdict.error = image.error;
    ++damaged_;
    failed_ = failed_ || image.width > 0;  // its file is whole
    complain(image.error);
  }
  if (objects_) objects_->add(image, prediction);
  ++images_;
  anomalous_ = anomalous_ || verdict.anomalous;
  print(verdict);
  progress_.advance();
  flush_output();
  for (const std::string& why : verdict.unwritten) fail(why);
  if (!options_.moved_to.empty() && verdict.error.empty()) move(verdict);
}

void PredictionWriter::finish() {
  for (const ObjectVerdict& verdict : objects_ ? objects_->verdicts() : std::vector<ObjectVerdict>{}) {
    progress_.make_room();
    fmt::print("{}\n", options_.lines == Lines::json  ? json_text(to_json(verdict))
                       : options_.lines == Lines::csv ? to_csv(verdict)
                                                      : to_text(verdict));
    anomalous_ |= verdict.anomalous;
  }
  flush_output();
  warnings_.count_others();
}

void PredictionWriter::print(const Verdict& verdict) {
  progress_.make_room();
  if (options_.lines == Lines::json) {
    fmt::print("{}\n", json_text(to_json(verdict)));
  } else if (options_.lines == Lines::csv) {
    fmt::print("{}\n", to_csv(verdict));
  } else if (verdict.error.empty()) {
    fmt::print("{}\n", to_text(verdict));
  }
}

void PredictionWriter::complain(const std::string& line) {
  progress_.make_room();
  fmt::print(stderr, "dinomaly: {}\n", one_line(line));
}

void PredictionWriter::fail(const std::string& why) {
  failed_ = true;
  complain(why);
}

void PredictionWriter::move(const Verdict& verdict) {
  std::filesystem::path folder = options_.moved_to;
  if (verdict.threshold) folder /= verdict.anomalous ? "anomalous" : "good";
  try {
    move_file(verdict.path, folder / names_.relative(verdict.path));
  } catch (const InputError& error) {
    fail(error.what());
  }
}

}  // namespace dinomaly
