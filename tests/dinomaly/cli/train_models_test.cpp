// dinomaly train: which weights the model has, and how many models there are.
#include <sstream>

#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> validation_rows(const fs::path& path) {
  std::istringstream stream(bytes_of(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("train: validations are reported and kept, and choose the model only if asked to") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string length = "--iterations 6 --set warmup_steps=1 --set learning_rate=0.02 ";
  const Outcome plain = run_well(folder, small_run(folder, "plain") + length);
  CHECK_FALSE(fs::exists(folder / "plain/validation.csv"));
  const Outcome outcome = run_well(folder, small_run(folder, "validated") + length + "--eval-every 2");
  CHECK(contains(outcome.out, "validation after 4 iterations"));
  const auto rows = validation_rows(folder / "validated/validation.csv");
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].starts_with("iteration,image_auroc,"));
  for (size_t i = 1; i < 4; ++i) CHECK(rows[i].starts_with(fmt::format("{},", 2 * i)));
  CHECK(bytes_of(folder / "plain/model.safetensors") == bytes_of(folder / "validated/model.safetensors"));

  run_well(folder, small_run(folder, "best") + length + "--eval-every 2 --keep-best pixel_auroc");
  const auto validated = validation_rows(folder / "best/validation.csv");
  std::vector<std::string> names;
  std::istringstream header(validated[0]);
  for (std::string name; std::getline(header, name, ',');) names.push_back(name);
  const auto column = std::find(names.begin(), names.end(), "pixel_auroc") - names.begin();
  double best = 0;
  for (size_t i = 1; i < validated.size(); ++i) {
    std::istringstream row(validated[i]);
    std::string value;
    for (int64_t c = 0; c <= column; ++c) std::getline(row, value, ',');
    best = std::max(best, std::stod(value));
  }
  CHECK(json_of(folder / "best/metrics.json").at("mean").at("pixel_auroc").get<double>() ==
        doctest::Approx(best).epsilon(1e-6));
}

TEST_CASE("train: what the test images cannot give is refused before the training") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string run = small_run(folder, "out") + "--iterations 2 ",
                    good_only = "train " + (folder / "data/wood/train/good").string() +
                                run.substr(run.find(" --encoder"));
  check_refused(folder, good_only + "--eval-every 1", "--eval-every: ");
  check_refused(folder, good_only + "--calibrate f1", "--calibrate f1: no ");
  fs::remove_all(folder / "data/wood/ground_truth");
  check_refused(folder, run + "--eval-every 1 --keep-best aupro",
                "--keep-best: wood: test images without masks, so there is no aupro");
  CHECK_FALSE(fs::exists(folder / "out"));
  run_well(folder, run + "--eval-every 1 --keep-best image_auroc");
  for (const auto& image : fs::directory_iterator(folder / "data/wood/train/good"))
    if (image.path().filename() > "002.png") fs::remove(image.path());
  const Outcome few = run_well(folder, good_only + "--force");
  CHECK_MESSAGE(contains(few.error, "no thresholds in the model: "), few.error);
  CHECK_MESSAGE(contains(few.error, "dinomaly calibrate takes others"), few.error);
}

TEST_CASE("train --separate: the model of each category is that of a run on it alone") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  run_well(folder, small_run(folder, "out") + "--iterations 3 --separate");
  for (const char* category : {"weave", "wood"}) {
    run_well(folder, small_run(folder, "alone") + "--iterations 3 --force --categories " + category);
    CHECK(bytes_of(folder / "out" / category / "model.safetensors") ==
          bytes_of(folder / "alone/model.safetensors"));
    CHECK(json_of(folder / "out/metrics.json").at("categories").at(category) ==
          json_of(folder / "alone/metrics.json").at("categories").at(category));
  }
  CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
}

TEST_CASE("train --slim: the model names its encoder, and works with it") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  run_well(folder, small_run(folder, "whole") + "--iterations 2");
  run_well(folder, small_run(folder, "slim") + "--iterations 2 --slim");
  const std::string slim = (folder / "slim/model.safetensors").string(),
                    image = (folder / "data/wood/test/good/000.png").string();
  CHECK(fs::file_size(slim) < fs::file_size(folder / "whole/model.safetensors"));
  const std::string encoder = " --encoder " + (folder / "encoder.safetensors").string();
  const Outcome with = run_well(folder, "predict " + slim + " " + image + " --json" + encoder);
  CHECK(with.out ==
        run_well(folder, "predict " + (folder / "whole/model.safetensors").string() + " " + image + " --json")
            .out);
  check_refused(folder, "predict " + slim + " " + image, "encoder.safetensors");
}
