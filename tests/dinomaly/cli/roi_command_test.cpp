// --roi: what a user sees of a region of interest, in each command.
#include <nlohmann/json.hpp>

#include "dinomaly/inference/calibrate.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Place {
  std::string model, data, good;
};

Place small_place(const TemporaryFolder& folder) {
  make_small_project(folder);
  return {(folder / "model").string(), (folder / "data").string(),
          (folder / "data/wood/test/good/000.png").string()};
}

json verdict_of(const TemporaryFolder& folder, const std::string& flags) {
  return json::parse(run_well(folder, "predict --json " + flags).out);
}

std::optional<Calibration> stored_in(const TemporaryFolder& folder) {
  return load_detector(folder / "model").calibration;
}

// A checked square.
void paint_defect(const fs::path& from, const fs::path& to, int64_t left, int64_t top, int64_t size) {
  Image image = load_image_rgb(from);
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      uint8_t* pixel = image.at(left + x, top + y);
      pixel[0] = (x / 2 + y / 2) % 2 == 0 ? 250 : 5, pixel[1] = 10, pixel[2] = 240;
    }
  }
  save_png(to, image);
}

}  // namespace

TEST_CASE("roi: predict says what counted, and a mask of the same pixels gives the same verdict") {
  const TemporaryFolder folder;
  const Place at = small_place(folder);
  const json whole = verdict_of(folder, at.model + " " + at.good);
  CHECK(whole.at("roi").is_null());
  const std::string call =
      at.model + " " + at.good + " --threshold 0.1 --pixel-threshold 0.01 --min-area 1 --roi ";
  const json part = verdict_of(folder, call + "10,20,30,25");
  CHECK(part.at("roi") == json{{"box", {10, 20, 30, 25}}, {"pixels", 750}});
  CHECK(part.at("inspected") == whole.at("inspected"));
  CHECK(part.at("score") != whole.at("score"));
  REQUIRE(!part.at("regions").empty());
  for (const json& region : part.at("regions")) {
    const auto box = region.at("box").get<std::vector<int64_t>>();
    CHECK((box[0] >= 10 && box[1] >= 20 && box[0] + box[2] <= 40 && box[1] + box[3] <= 45));
  }
  Image mask(64, 64, 1);
  for (int64_t y = 20; y < 45; ++y) std::fill_n(mask.at(10, y), 30, uint8_t{9});
  save_png(folder / "mask.png", mask);
  CHECK(verdict_of(folder, call + (folder / "mask.png").string()) == part);
  CHECK(verdict_of(folder, call + "10,20,30,10+10,30,30,15") == part);
  json all = verdict_of(folder, call + "0,0,64,64");
  all["roi"] = nullptr;
  CHECK(all == verdict_of(folder, call + "none"));
  const std::string text = run_well(folder, "predict " + at.model + " " + at.good + " --roi 10,20,30,25").out;
  CHECK_MESSAGE(contains(text, "(counted: 30 x 25 pixels at (10, 20))"), text);
  const std::string csv =
      run_well(folder, "predict " + at.model + " " + at.good + " --roi 10,20,30,25 --csv").out;
  CHECK_MESSAGE(lines_in(csv).at(1).ends_with(",10 20 30 25 750"), csv);
}

TEST_CASE("roi: a region that is none of the image's, or none at all, is one line and status 2") {
  const TemporaryFolder folder;
  const Place at = small_place(folder);
  const std::string call = "predict " + at.model + " " + at.good + " --roi ";
  for (const auto& [roi, expected] :
       {std::pair{"60,0,10,10", "000.png: the region of interest (10 x 10 pixels at (60, 0))"},
        {"1,2,3", "X,Y,WIDTH,HEIGHT"},
        {"0,0,0,4", "has no pixel"},
        {"-5,0,4,4", "'-5'"},
        {"0,0,1e3,4", "1e3,4"},
        {"0,0,9999999999999999999999,4", "from 0 to 1048576"},
        {"''", "--roi: its value is empty"}}) {
    const Outcome outcome = run_dinomaly(folder, call + roi);
    CAPTURE(roi);
    CHECK(outcome.status == 2);
    CHECK_MESSAGE(contains(outcome.error, expected), outcome.error);
  }
  save_png(folder / "small.png", [] {
    Image mask(32, 32, 1);
    *mask.at(1, 1) = 255;
    return mask;
  }());
  const Outcome other = run_dinomaly(folder, call + (folder / "small.png").string());
  CHECK(other.status == 2);
  CHECK_MESSAGE(contains(other.error, "64 x 64 pixels, and the region of interest is of images of 32 x 32"),
                other.error);
  save_png(folder / "black.png", Image(64, 64, 1));
  check_refused(folder, call + (folder / "black.png").string(), "marks no pixel");
  check_refused(folder, call + (folder / "absent.png").string(), "absent.png");
  check_refused(folder, call + at.model, "--roi: " + at.model);
  check_refused(folder, "calibrate " + at.model + " " + at.data + " --roi 60,0,10,10",
                "is not inside of its 64 x 64");
  check_refused(folder, "eval " + at.model + " " + at.data + " --roi 1,1,9,9", "use --protocol official");
}

TEST_CASE("roi: what thresholds were found in is stored, used without a flag, and holds for nothing else") {
  const TemporaryFolder folder;
  const Place at = small_place(folder);
  const std::string calibrate = "calibrate " + at.model + " " + at.data + " --false-alarm-rate 0.2 ";
  const Outcome done = run_well(folder, calibrate + "--roi 10,20,30,25");
  CHECK_MESSAGE(contains(done.out, "found with --area whole --roi 10,20,30,25"), done.out);
  CHECK(stored_in(folder)->inspection.roi == RegionOfInterest::parse("10,20,30,25").of_size(64, 64));
  const std::string info = run_well(folder, "info " + at.model).out;
  CHECK_MESSAGE(contains(info, "boxes: [[10,20,30,25]]"), info);
  const std::string call = at.model + " " + at.good + " ";
  const json stored = verdict_of(folder, call);
  CHECK(stored.at("roi").at("box") == json({10, 20, 30, 25}));
  CHECK(stored.at("threshold").is_number());
  CHECK(verdict_of(folder, call + "--roi 10,20,30,25") == stored);
  check_refused(folder, "predict " + call + "--roi 10,20,30,26",
                "its thresholds were found with --area whole --roi 10,20,30,25");
  const std::string model = ": " + at.model + ": its thresholds";
  for (const std::string flags : {"--roi 10,20,30,26", "--roi none", "--area crop"})
    check_refused(folder, "predict " + call + flags, "dinomaly: " + flags + model);
  check_refused(folder, "predict " + call + "--roi none --area crop",
                "dinomaly: --area crop --roi none" + model);
  check_refused(folder, "predict " + call + "--roi none",
                "run calibrate with --area whole --roi none, or give --threshold");
  const json own = verdict_of(folder, call + "--roi none --threshold 0.5");
  CHECK(own.at("roi").is_null());
  CHECK(own.at("pixel_threshold").is_null());
  check_refused(folder, "predict " + call + "--area crop", "--area crop --roi 10,20,30,25");
  check_refused(folder,
                "report " + at.model + " " + at.data + " --area crop --out " + (folder / "r.html").string(),
                "its thresholds were found with --area whole --roi 10,20,30,25");
  // Images of another size are none of those that the region was drawn on.
  save_png(folder / "large.png", Image(128, 128, 3));
  const Outcome large = run_dinomaly(folder, "predict " + at.model + " " + (folder / "large.png").string());
  CHECK(large.status == 2);
  CHECK_MESSAGE(contains(large.error,
                         "large.png: 128 x 128 pixels, and the region of interest is of images of 64 x 64"),
                large.error);
  // It is not lost by calibrating again without a word.
  check_refused(folder, calibrate, "--roi none to count whole images");
  run_well(folder, calibrate + "--roi 10,20,30,26");
  run_well(folder, calibrate + "--roi none");
  CHECK_FALSE(stored_in(folder)->inspection.roi.on());
}

TEST_CASE("roi: a ragged mask is stored whole and shown in a line") {
  const TemporaryFolder folder;
  const Place at = small_place(folder);
  Image mask(64, 64, 1);
  for (int64_t y = 0; y < 64; ++y) std::fill_n(mask.row(y), y + 1, uint8_t{255});
  save_png(folder / "mask.png", mask);
  run_well(folder, "calibrate " + at.model + " " + at.data + " --false-alarm-rate 0.2 --roi " +
                       (folder / "mask.png").string());
  CHECK(stored_in(folder)->inspection.roi == RegionOfInterest::of_mask(mask));
  const std::string info = run_well(folder, "info " + at.model).out;
  CHECK_MESSAGE(contains(info, "boxes: 64 of them: 2080 pixels within 64 x 64 pixels at (0, 0)"), info);
  check_refused(folder, "predict " + at.model + " " + at.good + " --roi 0,0,5,5",
                "--roi MASK (2080 pixels within 64 x 64 pixels at (0, 0))");
}

TEST_CASE("roi: eval's official numbers are of the region, of a model's maps and of written ones") {
  const TemporaryFolder folder;
  const Place at = small_place(folder);
  const std::string maps = (folder / "maps").string();
  const auto numbers = [&](const std::string& from, const std::string& flags) {
    const std::string out =
        run_well(folder, "eval " + from + " " + at.data + " --protocol official --json - " + flags).out;
    return json::parse(out).at("mean");
  };
  const json whole = numbers(at.model, "--export-maps " + maps);
  const json part = numbers(at.model, "--roi 16,16,32,32");
  CHECK(part != whole);
  CHECK(numbers(maps, "") == whole);
  CHECK(numbers(maps, "--roi 16,16,32,32") == part);
  CHECK(numbers(at.model, "--roi 0,0,64,64") == whole);
}

TEST_CASE("roi: train finds its thresholds in the region, and refuses one that is not of the images") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string train = small_run(folder, "out") + "--iterations 2 --checkpoint-every 0 ";
  check_refused(folder, train + "--roi 60,0,10,10", "is not inside of its 64 x 64 pixels");
  check_refused(folder, train + "--roi 1,2,3", "X,Y,WIDTH,HEIGHT");
  check_refused(folder, train + "--calibrate none --roi 1,2,3,4", "--calibrate none");
  CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
  const Outcome done = run_well(folder, train + "--roi 8,8,40,40");
  CHECK_MESSAGE(contains(done.out, "counting 40 x 40 pixels at (8, 8)"), done.out);
  const Detector detector = load_detector(folder / "out/model.safetensors");
  CHECK(detector.calibration->inspection.roi == RegionOfInterest::parse("8,8,40,40").of_size(64, 64));
  const std::string again = fmt::format(
      "calibrate {0}/out/model.safetensors {0}/data --false-alarm-rate 0.01 --force --roi 8,8,40,40",
      folder.path().string());
  run_well(folder, again);
  const Detector judged = load_detector(folder / "out/model.safetensors");
  CHECK(judged.calibration->all.image == doctest::Approx(detector.calibration->all.image));
  CHECK(judged.calibration->all.pixel == doctest::Approx(detector.calibration->all.pixel));
  CHECK(json_of(folder / "out/config.json").at("roi") == "8,8,40,40");
}

TEST_CASE("roi: what happens beside the region raises no alarm, what happens in it does") {
  const TemporaryFolder folder;
  ProceduralOptions options;
  options.size = 128, options.train = 16, options.good = 12, options.per_defect = 1;
  options.categories = {"wood"};
  make_dataset(folder / "data", options);
  const std::string model = (folder / "out/model.safetensors").string();
  run_well(folder, fmt::format("train {0}/data --threads 1 --resize 128 --crop 112 --iterations 40 --batch 4 "
                               "--set warmup_steps=10 --checkpoint-every 0 --roi 0,0,84,128 --out {0}/out",
                               folder.path().string()));
  const fs::path good = folder / "data/wood/test/good/003.png";
  paint_defect(good, folder / "beside.png", 110, 56, 16);
  paint_defect(good, folder / "inside.png", 40, 56, 16);
  const auto judged = [&](const char* name) {
    return verdict_of(folder, model + " " + (folder / name).string());
  };
  CHECK(judged("beside.png").at("anomalous") == false);
  CHECK(judged("beside.png").at("regions").empty());
  CHECK(judged("inside.png").at("anomalous") == true);
  run_well(folder, "calibrate " + model + " " + (folder / "data").string() + " --roi none --force");
  CHECK(judged("beside.png").at("anomalous") == true);
}
