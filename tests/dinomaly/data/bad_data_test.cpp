// Real-world data sets, seen through train_mvtec: damaged ones give one clear line with status 2 and no
// half-written file; images of other kinds give what their 8-bit RGB versions give.

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/train_program.h"
#include "tests/dinomaly/png.h"
#include "tests/dinomaly/tiny_encoder.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

struct SmallRun {
  TemporaryFolder folder;
  std::string flags;
  SmallRun() {
    save_safetensors(folder / "encoder", tiny_encoder().tensors);
    flags = small_data(folder) + " --heads 2 --encoder " + (folder / "encoder").string();
  }
  fs::path data(const std::string& name) const { return folder / ("data/" + name); }
  TrainOutcome run() const { return run_training(folder, flags); }
};

// Moves `path` aside, and back at the end.
class Restored {
 public:
  explicit Restored(fs::path path) : path_(std::move(path)), bytes_(read_file(path_, 1 << 24)) {}
  ~Restored() { write_file(path_, bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  fs::path path_;
  std::string bytes_;
};

// The rows of a PNG, each after its filter byte; `append` writes one pixel.
template <class Append>
std::string rows(const Image& image, Append append) {
  std::string bytes;
  for (int64_t y = 0; y < image.height; ++y) {
    bytes += '\0';
    for (int64_t x = 0; x < image.width; ++x) append(bytes, static_cast<char>(image.at(x, y)[0]));
  }
  return bytes;
}

// A grey image as PNG of five kinds that all mean the same; the low bytes of 16 bits and alpha vary.
std::string grey_as(int kind, const Image& image) {
  char noise = 0;
  const auto size = static_cast<uint32_t>(image.width);
  switch (kind) {
    case 0:
      return png(size, size, 8, 0, rows(image, [](std::string& out, char v) { out += v; }));
    case 1:
      return png(size, size, 8, 4, rows(image, [&](std::string& out, char v) { out += {v, noise += 37}; }));
    case 2:
      return png(size, size, 8, 6, rows(image, [&](std::string& out, char v) {
                   out += {v, v, v, noise += 37};
                 }));
    case 3:
      return png(size, size, 16, 0, rows(image, [&](std::string& out, char v) { out += {v, noise += 37}; }));
    default:
      return png(size, size, 16, 2, rows(image, [&](std::string& out, char v) {
                   for (int channel = 0; channel < 3; ++channel) out += {v, noise += 37};
                 }));
  }
}

std::vector<fs::path> images_below(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".png") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

TEST_CASE("damaged images, of training and of test") {
  const SmallRun run;
  for (const char* name : {"wood/train/good/003.png", "wood/test/good/001.png", "wood/test/small/000.png",
                           "wood/ground_truth/small/000_mask.png"}) {
    CAPTURE(name);
    const fs::path path = run.data(name);
    const Restored whole(path);
    cut(path);
    refuses(run.folder, run.flags, name);
    write_file(path, "");
    refuses(run.folder, run.flags, name);
    write_file(path, "GIF89a, or so it says");
    refuses(run.folder, run.flags, name);
    // A JPEG under a PNG's name is a JPEG; its decoder itself takes one that is cut short for a whole one.
    const std::string other = encode_jpeg(load_image_rgb(run.data("weave/test/good/000.png")), 90);
    for (const size_t missing : {size_t{2}, other.size() / 3}) {
      write_file(path, other.substr(0, other.size() - missing));
      refuses(run.folder, run.flags, "cut short");
    }
  }
  CHECK(run.run().status == 0);
}

TEST_CASE("masks that are of another size or missing") {
  const SmallRun run;
  const fs::path path = run.data("wood/ground_truth/small/000_mask.png");
  const Restored whole(path);
  save_png(path, Image(30, 64, 1));
  refuses(run.folder, run.flags, "000_mask.png: the mask is 30 x 64, its image 64 x 64");
  fs::remove(path);
  refuses(run.folder, run.flags, "small/000.png: its mask");
}

TEST_CASE("folders that are missing or hold nothing") {
  const SmallRun run;
  const auto refuses_without = [&](const std::string& name, const std::string& expected) {
    fs::rename(run.data(name), run.folder / "aside");
    refuses(run.folder, run.flags, expected);
    fs::create_directories(run.data(name));
    write_file(run.data(name + "/notes.txt"), "no image");
    refuses(run.folder, run.flags, expected);
    fs::remove_all(run.data(name));
    fs::rename(run.folder / "aside", run.data(name));
  };
  refuses_without("wood/train/good", "wood/train/good: no");
  refuses_without("wood/ground_truth/small", "ground_truth/small");
  fs::create_directories(run.folder / "empty");
  refuses(run.folder, run.flags + " --data " + (run.folder / "empty").string(), "empty: no images");
  refuses(run.folder, run.flags + " --data " + (run.folder / "encoder").string(),
          "encoder: neither a folder nor");
  refuses(run.folder, run.flags + " --categories wood,../data/weave", "not a valid name for a category");
}

TEST_CASE("a category that cannot be evaluated is used for training, which is reported") {
  const SmallRun run;
  const auto judged = [&] {
    const TrainOutcome outcome = run_training(run.folder, run.flags);
    CHECK_MESSAGE(outcome.status == 0, outcome.error);
    const auto metrics = nlohmann::json::parse(read_file(run.folder / "out/metrics.json", 1 << 20));
    std::string names;
    for (const auto& category : metrics.at("categories").items()) names += category.key() + " ";
    return names;
  };
  CHECK(judged() == "weave wood ");
  fs::rename(run.data("wood/test/good"), run.folder / "aside");
  CHECK(judged() == "weave ");
  fs::rename(run.folder / "aside", run.data("wood/test/good"));
  for (const auto& entry : fs::directory_iterator(run.data("weave/test"))) {
    if (entry.path().filename() != "good") fs::remove_all(entry.path());
  }
  CHECK(judged() == "wood ");
}

TEST_CASE("a run that fails leaves the results of an earlier one alone, and none of its own") {
  const SmallRun run;
  REQUIRE(run.run().status == 0);
  const auto snapshot = [&] {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(run.folder / "out")) {
      if (entry.is_regular_file()) files[entry.path().string()] = read_file(entry.path(), 1 << 26);
    }
    return files;
  };
  const auto before = snapshot();
  const fs::path damaged = run.data("wood/train/good/005.png");
  const Restored whole(damaged);
  cut(damaged);
  CHECK(run.run().status == 2);
  CHECK(snapshot() == before);
  // If the folder of results cannot be made, nothing is trained.
  write_file(damaged, whole.bytes());
  fs::remove_all(run.folder / "out");
  write_file(run.folder / "out", "in the way");
  refuses(run.folder, run.flags, "out");
  CHECK(read_file(run.folder / "out", 100) == "in the way");
}

TEST_CASE("grey, alpha and 16 bits train as the 8-bit RGB images do") {
  const SmallRun run;
  const std::vector<fs::path> paths = images_below(run.folder / "data");
  const auto is_mask = [](const fs::path& path) { return path.string().find("_mask") != std::string::npos; };
  for (const fs::path& path : paths) {
    if (is_mask(path)) continue;
    Image image = load_image_rgb(path);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = image.pixels[i / 3 * 3];
    save_png(path, image);
  }
  const auto results = [&] {
    REQUIRE(run.run().status == 0);
    const auto metrics = nlohmann::json::parse(read_file(run.folder / "out/metrics.json", 1 << 20));
    return std::pair{read_file(run.folder / "out/model.safetensors", 1 << 26),
                     metrics.at("categories").dump()};
  };
  const auto expected = results();
  for (size_t i = 0; i < paths.size(); ++i) {
    if (is_mask(paths[i])) continue;  // there alpha and low bytes count
    const Image image = load_image_rgb(paths[i]);
    write_file(paths[i], grey_as(static_cast<int>(i % 5), image));
    REQUIRE(load_image_rgb(paths[i]) == image);
  }
  const auto got = results();
  CHECK(got.first == expected.first);
  CHECK(got.second == expected.second);
}
