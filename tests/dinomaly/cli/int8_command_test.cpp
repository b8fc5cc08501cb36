// --precision int8 from the command line: train stores it, convert makes it, every command after them reads it.
#include <chrono>
#include <thread>

#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/cli/train_program.h"

using namespace dinomaly;
namespace fs = std::filesystem;

TEST_CASE("train --precision int8: trained as f32, stored in 8 bits, judged with these") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  run_well(folder, small_run(folder, "float") + "--iterations 2");
  const Outcome trained = run_well(folder, small_run(folder, "out") + "--iterations 2 --precision int8");
  CHECK(contains(trained.out, "int8: scales from 12 training images"));
  CHECK(bytes_of(folder / "out/log.csv").substr(0, 60) == bytes_of(folder / "float/log.csv").substr(0, 60));
  const std::string model = (folder / "out/model.safetensors").string(), data = (folder / "data").string();
  CHECK(std::filesystem::file_size(model) <
        std::filesystem::file_size(folder / "float/model.safetensors") / 2);
  CHECK(contains(run_well(folder, "info " + model).out, "precision: int8"));
  run_well(folder, "predict " + model + " " + data + "/wood/test/good --out " + (folder / "maps").string());
  run_well(folder, "eval " + model + " " + data + " --json " + (folder / "eval.json").string());
  CHECK(json_of(folder / "eval.json").at("categories") ==
        json_of(folder / "out/metrics.json").at("categories"));
  run_well(folder, "calibrate " + model + " " + data + " --out " + (folder / "again").string());
  run_well(folder, "report " + model + " " + data + " --out " + (folder / "report.html").string());
  CHECK(contains(bytes_of(folder / "report.html"), "int8"));
  check_refused(folder, "export " + model + " --to authors --out " + (folder / "x").string(),
                "no int8 weights");
  check_refused(folder, "convert " + model + " " + (folder / "x").string() + " --names timm", "are int8");
  check_refused(folder, small_run(folder, "new") + "--encoder " + model, "are int8");
  check_refused(folder, small_run(folder, "new") + "--precision int8 --slim",
                "--slim: with --precision int8");
  check_refused(folder, small_run(folder, "new") + "--precision int8 --feature-whitening 4",
                "whitening enlarges what rounding changes");
  check_refused(folder, small_run(folder, "new") + "--precision int4", "not one of f32, bf16, f64, int8");
}

TEST_CASE("train --precision int8: a training image that is gone at the end costs int8, not the model") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags =
      small_run(folder, "out") + "--iterations 4000 --checkpoint-every 1000 --precision int8";
  Child child(folder, flags);
  const auto started = [&] {
    return fs::exists(folder / "out/checkpoints/00001000.safetensors");
  };  // all images were read
  for (int i = 0; i < 120'000 && !started() && !child.ended(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  REQUIRE_MESSAGE(started(), child.out(), child.error());
  fs::remove_all(folder / "data/wood/train");
  CHECK(WEXITSTATUS(child.end_with(0)) == 2);
  const std::string model = (folder / "out/model.safetensors").string();
  CHECK_FALSE(contains(run_well(folder, "info " + model).out, "int8"));
  CHECK_MESSAGE(contains(child.error(), "model.safetensors has f32 weights, not int8"), child.error());
}

TEST_CASE("--fast: int8 at 20 patches a side; another size or precision, and another model, are refused") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string data = (folder / "data").string(), encoder = (folder / "encoder.safetensors").string();
  const auto run = [&](const std::string& out) {
    return "train " + data + " --encoder " + encoder + " --heads 2 --batch 2 --iterations 1 " +
           "--set decoder_depth=2 --set map_size=32 --calibrate none --out " + (folder / out).string() + " ";
  };
  run_well(folder, run("fast") + "--fast");
  const auto config = json_of(folder / "fast/config.json");
  const int64_t patch = 14;
  for (const char* size : {"resize_h", "resize_w", "crop_h", "crop_w"}) CHECK(config.at(size) == 20 * patch);
  CHECK(config.at("precision") == "int8");
  run_well(folder, run("again") + "--fast --config " + (folder / "fast/config.json").string());
  CHECK(json_of(folder / "again/config.json").at("resize_h") == 20 * patch);
  const std::string images = data + "/wood/test/good --fast --out " + (folder / "maps").string();
  run_well(folder, "predict " + (folder / "fast/model.safetensors").string() + " " + images);
  run_well(folder, run("int8") + "--precision int8 --resize 70 --crop 56");
  run_well(folder, run("float") + "--resize 56 --crop 56");
  const auto refused = [&](const std::string& model, const std::string& why) {
    check_refused(folder, "predict " + (folder / model / "model.safetensors").string() + " " + images, why);
  };
  refused("int8", "judges images of 70 x 70 pixels, cropped to 56 x 56: make one with train --fast");
  refused("float", "is not int8: make one with train --fast");
  check_refused(folder, run("x") + "--fast --crop 56",
                "--fast: it takes images of 280 x 280 pixels; --crop is 56");
  check_refused(folder, run("x") + "--fast --set resize_w=56", "resize_w is 56");
  check_refused(folder, run("x") + "--fast --precision bf16", "--fast: it stores int8, not bf16");
  check_refused(folder, run("x") + "--fast --feature-whitening 4", "whitening enlarges");
  check_refused(folder, run("fast") + "--fast --resume", "--fast: --resume goes on with the sizes");
  CHECK_FALSE(fs::exists(folder / "x"));

  // The program's own encoder, whose positions are rotary.
  run_well(folder, "train " + data +
                       " --categories wood --fast --batch 2 --iterations 1 --set decoder_depth=2 " +
                       "--set map_size=32 --calibrate none --out " + (folder / "own").string());
  CHECK(json_of(folder / "own/config.json").at("crop_h") == 160);
  run_well(folder, "predict " + (folder / "own/model.safetensors").string() + " " + images);
}

TEST_CASE(
    "convert --precision int8: the same weights as train stores; what it lacks or cannot take is named") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  run_well(folder, small_run(folder, "out") + "--iterations 2 --precision int8 --calibrate none");
  run_well(folder, small_run(folder, "float") + "--iterations 2 --calibrate none");
  const std::string model = (folder / "float/model.safetensors").string(), data = (folder / "data").string(),
                    out = (folder / "converted").string(), to = "convert " + model + " " + out + " ";
  run_well(folder, to + "--precision int8 --data " + data);
  CHECK(bytes_of(out).size() > 0);
  const auto tensors = [](const std::filesystem::path& file) {
    const SafeTensors read = SafeTensors::load(file);
    std::map<std::string, std::vector<float>> all;
    for (const std::string& name : read.names()) all[name] = read.get(name).to_vector<float>();
    return all;
  };
  CHECK(tensors(out) == tensors(folder / "out/model.safetensors"));
  std::filesystem::remove(out);
  check_refused(folder, to, "either --names");
  check_refused(folder, to + "--names timm --precision int8", "either --names");
  check_refused(folder, to + "--precision int8", "--data is missing");
  check_refused(folder, to + "--precision bf16 --data " + data, "'bf16' is not int8");
  check_refused(folder, to + "--precision int8 --data " + data + "/none", "no such");
  check_refused(folder,
                "convert " + (folder / "out/model.safetensors").string() + " " + out +
                    " --precision int8 --data " + data,
                "int8 already");
  CHECK_FALSE(std::filesystem::exists(out));
}
