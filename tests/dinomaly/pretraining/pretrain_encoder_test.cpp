// The program `pretrain_encoder` as a user runs it.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/support.h"

namespace dinomaly {

namespace {

using nabla::TemporaryFolder;

struct Ended {
  int status;
  std::string text;  // of both outputs
};

std::string text_in(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Ended pretrain_encoder(const TemporaryFolder& folder, const std::string& flags) {
  const std::string command = fmt::format("{}/bin/pretrain_encoder {} > {} 2>&1", DINOMALY_BINARY_DIR, flags,
                                          (folder / "text").string());
  const int status = std::system(command.c_str());
  return {WEXITSTATUS(status), text_in(folder / "text")};
}

}  // namespace

TEST_CASE("pretrain_encoder: a run, its files, and the same bits from an interrupted one") {
  const TemporaryFolder folder;
  const std::string tiny = " --width 24 --heads 2 --depth 2 --pairs 2 --pool 2 --seed 5 --steps 4";
  const auto out = [&](const std::string& name) { return " --out " + (folder / name).string(); };
  const Ended whole = pretrain_encoder(folder, tiny + out("whole"));
  CHECK_MESSAGE(whole.status == 0, whole.text);
  const std::string encoder = text_in(folder / "whole/encoder.safetensors");
  CHECK(encoder.size() > 10000);
  CHECK(nabla::contains(text_in(folder / "whole/log.csv"), "\n4,"));

  // A checkpoint after each step; the last one is taken away, as if the program had been killed before it.
  CHECK(pretrain_encoder(folder, tiny + " --checkpoint-every 1e-9" + out("half")).status == 0);
  std::filesystem::remove(folder / "half/checkpoints/00000004.safetensors");
  std::filesystem::remove(folder / "half/encoder.safetensors");
  const Ended refused = pretrain_encoder(folder, tiny + out("half"));
  CHECK(refused.status == 2);
  CHECK(nabla::one_line_with(refused.text.substr(0, refused.text.size() - 1),
                             "an earlier run stopped here at step 3; --resume continues it"));
  const Ended other = pretrain_encoder(folder, tiny + " --resume --temperature 0.3" + out("half"));
  CHECK(other.status == 2);
  CHECK(nabla::contains(other.text, "the run had other options"));
  const Ended resumed = pretrain_encoder(folder, tiny + " --resume" + out("half"));
  CHECK_MESSAGE(resumed.status == 0, resumed.text);
  CHECK(nabla::contains(resumed.text, "3 steps done"));
  CHECK(text_in(folder / "half/encoder.safetensors") == encoder);

  for (const auto& entry : std::filesystem::directory_iterator(folder / "half/checkpoints"))
    std::filesystem::resize_file(entry.path(), 100);
  const Ended damaged = pretrain_encoder(folder, tiny + " --resume" + out("half"));
  CHECK(damaged.status == 2);
  CHECK(nabla::contains(damaged.text, "all checkpoints here are damaged; --force starts over"));
  CHECK(text_in(folder / "half/encoder.safetensors") == encoder);

  std::filesystem::remove_all(folder / "half/checkpoints");
  const Ended kept = pretrain_encoder(folder, tiny + out("half"));
  CHECK(kept.status == 2);
  CHECK(nabla::contains(kept.text, "an earlier run has left its encoder here; --force replaces it"));
  CHECK(pretrain_encoder(folder, tiny + " --steps 1 --force" + out("half")).status == 0);
  CHECK(text_in(folder / "half/encoder.safetensors") != encoder);
}

TEST_CASE("pretrain_encoder: wrong flags give one line and status 2") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& flags, const std::string& part) {
    const Ended ended = pretrain_encoder(folder, flags + " --out " + (folder / "out").string());
    CAPTURE(flags);
    CAPTURE(ended.text);
    CHECK(ended.status == 2);
    CHECK(nabla::one_line_with(ended.text.substr(0, ended.text.size() - 1), part));
    CHECK_FALSE(std::filesystem::exists(folder / "out/encoder.safetensors"));
  };
  refused("--objective sparse", "--objective: 'sparse' is not all, dense, masked or labels");
  refused("--minutes 0", "--minutes");
  refused("--minutes nan", "--minutes");
  refused("--steps -1", "--steps");
  refused("--heads 5", "--heads 5: it must divide the width, 192");
  refused("--pairs 1", "--pairs 1");
  refused("--pool 0", "--pool 0");
  refused("--precision f64", "--precision: 'f64'");
  refused("--temperature 0", "--temperature");
  refused("--covariance nan", "--covariance");
  refused("--threads -2", "--threads");
  refused("--probe /no/such/folder", "/no/such/folder");
}

}  // namespace dinomaly
