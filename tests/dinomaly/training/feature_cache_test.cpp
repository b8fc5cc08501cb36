// --feature-cache: features are taken again where everything they depend on is the same, and only there.
#include <unistd.h>

#include <cmath>

#include "dinomaly/image/image.h"
#include "dinomaly/report/heatmap.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

struct Cache {
  explicit Cache(const TemporaryFolder& folder) : folder(folder) {}
  // Trains; true: with features of an earlier run.
  bool used(const std::string& flags) const {
    const Outcome outcome = run_well(
        folder, small_run(folder, "out") + "--iterations 2 --checkpoint-every 0 --force --feature-cache " +
                    (folder / "cache").string() + " " + flags);
    return contains(outcome.out, ", from " + (folder / "cache").string());
  }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder / "cache"), fs::directory_iterator()));
  }
  const TemporaryFolder& folder;
};

}  // namespace

TEST_CASE("feature cache: later runs take the features, and train to the same bits") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  run_well(folder, small_run(folder, "plain") + "--iterations 2 --checkpoint-every 0");
  const Cache cache(folder);
  CHECK_FALSE(cache.used(""));
  CHECK(cache.used(""));
  CHECK(bytes_of(folder / "out/model.safetensors") == bytes_of(folder / "plain/model.safetensors"));
  // What comes after the encoder may differ.
  for (const char* flags : {"--batch 3", "--seed 4", "--iterations 1", "--set dropout=0.5",
                            "--set decoder_depth=3", "--set map_size=64", "--set mining_steps=9"}) {
    CAPTURE(flags);
    CHECK(cache.used(flags));
  }
  CHECK(cache.files() == 1);
  // If the file is damaged the features are recomputed.
  const fs::path file = fs::directory_iterator(folder / "cache")->path();
  const std::string whole = bytes_of(file);
  for (const std::string& bytes : {std::string(), whole.substr(0, whole.size() / 2), whole + "x"}) {
    write_file(file, bytes);
    CHECK_FALSE(cache.used(""));
    CHECK(bytes_of(file) == whole);
  }
}

TEST_CASE("feature cache: what a killed program left half-written goes, what another one is writing stays") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const pid_t ended = fork();
  if (ended == 0) _exit(0);
  waitpid(ended, nullptr, 0);
  const fs::path left = folder / fmt::format("cache/x.safetensors.{}-0.tmp", ended),
                 writing = folder / fmt::format("cache/y.safetensors.{}-0.tmp", getpid());
  write_file(left, "half");
  write_file(writing, "half");
  CHECK_FALSE(Cache(folder).used(""));
  CHECK_FALSE(fs::exists(left));
  CHECK(fs::exists(writing));
}

TEST_CASE("feature cache: never taken where images, weights or preprocessing differ") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const Cache cache(folder);
  CHECK_FALSE(cache.used(""));
  NamedTensors weights;
  for (const auto& [name, tensor] : tiny_encoder().tensors) weights.emplace_back(name, tensor.clone());
  weights.back().second.data<float>()[0] += 1e-6f;  // one weight, by little
  save_safetensors(folder / "other.safetensors", weights);
  const std::string other = "--encoder " + (folder / "other.safetensors").string();
  size_t files = 1;
  for (const std::string& flags :
       {other, std::string("--resize 70"), std::string("--resize 70 --crop 42"),
        std::string("--resize 56x70"), std::string("--mean 0.5,0.5,0.5"), std::string("--std 0.5,0.5,0.5"),
        std::string("--preset anomalib"), std::string("--heads 1"),
        std::string("--set target_blocks=[0,1,2]"), std::string("--set encoder_groups=[[0,1,2],[3]]"),
        std::string("--set remove_class_token=true"), std::string("--set context_recentering=true"),
        std::string("--precision bf16"), std::string("--feature-dtype bf16"),
        std::string("--categories wood"), std::string("--categories wood,weave")}) {
    CAPTURE(flags);
    CHECK_FALSE(cache.used(flags));
    CHECK(cache.files() == ++files);
    CHECK(cache.used(flags));
  }
  // One value of one pixel of one image.
  const fs::path path = folder / "data/wood/train/good/003.png";
  Image image = load_image_rgb(path);
  image.pixels[100] ^= 1;
  save_png(path, image);
  CHECK_FALSE(cache.used(""));
  CHECK(cache.used(""));
}

TEST_CASE("feature cache: a number that is not finite is an error that names the file and the image") {
  for (const char* kept : {"model", "bf16", "int8"}) {
    const TemporaryFolder folder;
    make_training_inputs(folder);
    const Cache cache(folder);
    const std::string flags = std::string("--feature-dtype ") + kept;
    CHECK_FALSE(cache.used(flags));
    const fs::path file = fs::directory_iterator(folder / "cache")->path();
    NamedTensors tensors;
    const SafeTensors whole = SafeTensors::load(file);
    for (const std::string& name : whole.names()) {
      const Tensor tensor = whole.get(name).clone();
      if (name == (std::string(kept) == "int8" ? "group.0.scale" : "group.0"))
        tensor.select(0, 3).reshape({-1}).slice(0, 5, 6).fill(NAN);
      tensors.emplace_back(name, tensor);
    }
    save_safetensors(file, tensors, whole.metadata());
    const Outcome outcome = run_dinomaly(
        folder, small_run(folder, "out") + "--iterations 20 --checkpoint-every 0 --force --feature-cache " +
                    (folder / "cache").string() + " " + flags);
    CHECK(outcome.status == 2);
    CHECK_MESSAGE(contains(outcome.error, "/train/good/003.png: the encoder's features of it are not finite"),
                  outcome.error);
    CHECK(contains(outcome.error, file.string()));
  }
}
