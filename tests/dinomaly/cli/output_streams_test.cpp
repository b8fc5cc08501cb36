// What commands write where: a full disk, --csv, lines and errors in one pipe, '-' for standard output.
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
namespace fs = std::filesystem;

// A limit of file size stands for a full disk: the verdicts fit, an overlay or a map does not.
TEST_CASE("predict: a full disk costs the files, each with a line, and no verdict") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const fs::path images = folder / "data/wood/test/good", out = folder / "out";
  for (const char* format : {"tiff", "npy"}) {
    for (const char* output : {"", " --json", " --csv"}) {
      const Outcome outcome = run_dinomaly(
          folder,
          fmt::format("predict {}/model {} --threshold 0 --fail-on-anomaly --map-format {} --out {}{}",
                      folder.path().string(), images.string(), format, out.string(), output),
          "ulimit -f 4; ");
      CHECK(outcome.status == 2);
      const std::vector<std::string> lines = lines_in(outcome.out);
      CHECK(lines.size() == (contains(output, "csv") ? 5 : 4));
      CHECK_FALSE(contains(outcome.out, "overlay.png"));
      CHECK_FALSE(contains(outcome.out, format + std::string("\"")));
      CHECK_MESSAGE(lines_in(outcome.error).size() == 8, outcome.error);
      CHECK(contains(outcome.error, "003_overlay.png: cannot be written: File too large"));
      CHECK(contains(outcome.error, std::string("003.") + format + ": cannot be written: File too large"));
      for (const auto& entry : fs::directory_iterator(out)) CHECK(entry.path().filename() == ".dinomaly");
    }
  }
}

TEST_CASE("predict --csv: a header, a line for each image, names in quotes, errors in their own column") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  write_file(folder / "in/plain.png", image);
  write_file(folder / "in/with, \"quotes\".png", image);
  write_file(folder / "in/torn.png", image.substr(0, 99));
  const std::string call = fmt::format("predict {0}/model {0}/in ", folder.path().string());
  const Outcome outcome = run_dinomaly(folder, call + "--csv");
  CHECK(outcome.status == 2);
  const std::vector<std::string> lines = lines_in(outcome.out),
                                 json = lines_in(run_dinomaly(folder, call + "--json").out);
  REQUIRE(lines.size() == 4);
  const double score = nlohmann::json::parse(json[0]).at("score").get<double>();
  CHECK(lines[1] ==
        fmt::format("{}/in/plain.png,64,64,{},,,0,,,,whole,0 0 64 64,,,,", folder.path().string(), score));
  CHECK(lines[2].starts_with(folder.path().string() + "/in/torn.png,,,,,,,,,"));
  CHECK(contains(lines[2], "cut short"));
  CHECK(
      lines[3].starts_with(fmt::format("\"{}/in/with, \"\"quotes\"\".png\",64,64,", folder.path().string())));
}

TEST_CASE("one pipe for lines and errors: each stands where it happened") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string image = bytes_of(folder / "data/wood/test/good/000.png");
  write_file(folder / "in/1.png", image);
  write_file(folder / "in/2.png", "torn");
  write_file(folder / "in/3.png", image);
  const std::string program = std::string(DINOMALY_BINARY_DIR) + "/bin/dinomaly ",
                    both = (folder / "both").string();
  const auto in_order = [&](const std::string& flags, const std::vector<std::string>& parts) {
    const int status = std::system(("OMP_NUM_THREADS=1 " + program + flags + " 2>&1 | cat >" + both).c_str());
    CHECK(status == 0);
    const std::vector<std::string> lines = lines_in(bytes_of(both));
    REQUIRE(lines.size() >= parts.size());
    for (size_t i = 0; i < parts.size(); ++i) CHECK_MESSAGE(contains(lines[i], parts[i]), lines[i]);
  };
  in_order(fmt::format("predict {0}/model {0}/in", folder.path().string()),
           {"has no thresholds", "1.png", "dinomaly: ", "3.png"});
  // What training prints on the way stands before the error that ends it.
  make_training_inputs(folder);
  in_order(small_run(folder, "out") + "--iterations 2 --set learning_rate=1e38 --set warmup_steps=0",
           {"data: MVTec AD", "weave: ", "wood: "});
  CHECK(contains(lines_in(bytes_of(both)).back(), "dinomaly: training diverged"));
}

TEST_CASE("'-' is standard output where a file is text, and refused elsewhere, never a name") {
  const TemporaryFolder folder;
  make_small_project(folder);
  save_safetensors(folder / "encoder", tiny_encoder().tensors);
  const std::string model = (folder / "model").string(), data = (folder / "data").string(),
                    image = data + "/wood/test/good/000.png";
  const std::string at = "cd " + folder.path().string() + "; ";
  CHECK(run_dinomaly(folder, "report " + model + " " + data + " --out -", at)
            .out.starts_with("<!DOCTYPE html>"));
  const Outcome json = run_dinomaly(folder, "eval " + model + " " + data + " --json -", at);
  CHECK(nlohmann::json::parse(json.out).at("protocol") == "paper");
  CHECK(run_dinomaly(folder, "eval " + model + " " + data + " --csv -", at).out.starts_with("category,"));
  for (const std::string& flags :
       {"predict " + model + " " + image + " --out -",
        "predict " + model + " " + image + " --threshold 1 --move-to -",
        "calibrate " + model + " " + data + " --out -", "export " + model + " --to authors --out -",
        "convert " + model + " - --names meta", "eval " + model + " " + data + " --export-maps -",
        "eval " + model + " " + data + " --json - --csv -", "train " + data + " --batch 2 --out -",
        std::string("train --out -"), std::string("make-dataset -")}) {
    CAPTURE(flags);
    const Outcome outcome = run_dinomaly(folder, flags, at);
    CHECK(outcome.status == 2);
    CHECK_MESSAGE(contains(outcome.error, "standard output"), outcome.error);
    CHECK(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1);
  }
  CHECK_FALSE(fs::exists(folder / "-"));
}
