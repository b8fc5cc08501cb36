#include "dinomaly/cli/prediction_writer.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/move_file.h"
#include "dinomaly/base/program.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/data/companions.h"
#include "tensor/io/printable.h"

namespace dinomaly {

PredictionWriter::PredictionWriter(Options options, OutputNames names, Progress& progress)
    : options_(std::move(options)), names_(std::move(names)), progress_(progress) {
  if (options_.lines == Lines::csv) fmt::print("{}\n", csv_header());
  flush_output();
}

void PredictionWriter::write(const InputImage& image, const Prediction& prediction,
                             const nlohmann::json& more) {
  Verdict verdict;
  if (image.error.empty()) {
    const bool with_files = !options_.output.folder.empty();
    verdict = write_prediction(image, prediction, with_files ? output_name(image.path) : "", options_.output);
    verdict.warnings = options_.training_images.warnings(image, options_.tiled);
    if (!verdict.threshold && !options_.undecided.empty()) complain(std::exchange(options_.undecided, ""));
    warnings_.add(image.path, verdict.warnings, progress_);
  } else {
    verdict.path = image.path;
    verdict.error = image.error;
    ++damaged_;
    failed_ = failed_ || image.width > 0;  // its file is whole
    complain(image.error);
  }
  ++images_;
  anomalous_ = anomalous_ || verdict.anomalous;
  nlohmann::json line = to_json(verdict);
  line.update(more);
  print(verdict, line);
  if (verdict.anomalous && !options_.objects) raise(line);
  if (options_.objects) {
    if (const std::optional<ObjectVerdict> object = options_.objects->add(image, prediction)) print(*object);
  }
  progress_.advance();
  flush_output();
  for (const std::string& why : verdict.unwritten) fail(why);
  if (!options_.objects && verdict.error.empty())
    move(verdict.path, verdict.threshold.has_value(), verdict.anomalous);
}

void PredictionWriter::finish(bool stopped) {
  if (options_.objects && stopped && options_.objects->kind() == ObjectKind::views) {
    complain("stopped: objects have no verdict, since not all of their images were judged");
  } else if (options_.objects) {
    for (const ObjectVerdict& verdict : options_.objects->verdicts()) print(verdict);
  }
  flush_output();
  warnings_.count_others();
}

void PredictionWriter::print(const ObjectVerdict& verdict) {
  progress_.make_room();
  if (!verdict.repeated) {
    fmt::print("{}\n", options_.lines == Lines::json  ? json_text(to_json(verdict))
                       : options_.lines == Lines::csv ? to_csv(verdict)
                                                      : to_text(verdict));
    flush_output();
  }
  if (verdict.anomalous && !verdict.repeated) raise(to_json(verdict));
  anomalous_ |= verdict.anomalous;
  incomplete_ += verdict.incomplete;
  if (verdict.incomplete) complain(verdict.error);
  if (!verdict.error.empty()) return;
  for (const std::filesystem::path& image : verdict.files)
    move(image, verdict.threshold.has_value(), verdict.anomalous);
}

void PredictionWriter::print(const Verdict& verdict, const nlohmann::json& line) {
  progress_.make_room();
  if (options_.lines == Lines::json) {
    fmt::print("{}\n", json_text(line));
  } else if (options_.lines == Lines::csv) {
    fmt::print("{}\n", to_csv(verdict));
  } else if (verdict.error.empty()) {
    fmt::print("{}\n", to_text(verdict));
  }
}

void PredictionWriter::raise(const nlohmann::json& verdict) {
  if (options_.alarm != nullptr) options_.alarm->raise(json_text(verdict));
}

void PredictionWriter::complain(const std::string& line) {
  progress_.make_room();
  print_error("dinomaly: {}\n", one_line(line));
}

void PredictionWriter::fail(const std::string& why) {
  failed_ = true;
  complain(why);
}

std::filesystem::path PredictionWriter::output_name(const std::filesystem::path& image) {
  const std::filesystem::path name = names_(image);
  if (options_.moved_to.empty() || !is_taken(options_.output.folder, name)) return name;
  const auto last = numbers_.try_emplace(name, 1).first;
  std::filesystem::path free;
  do {
    free = name;
    free += fmt::format("-{}", ++last->second);
  } while (is_taken(options_.output.folder, free));
  return free;
}

void PredictionWriter::move(const std::filesystem::path& image, bool decided, bool anomalous) {
  if (options_.moved_to.empty()) return;
  std::filesystem::path folder = options_.moved_to;
  if (decided) folder /= anomalous ? "anomalous" : "good";
  const std::filesystem::path to = folder / names_.relative(image);
  try {
    if (options_.with_depth)
      move_with_companions(image, to);
    else
      move_file(image, to);
  } catch (const InputError& error) {
    fail(error.what());
  }
}

}  // namespace dinomaly
