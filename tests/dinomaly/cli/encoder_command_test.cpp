// dinomaly encoder, and names where a command takes an encoder. What is fetched: tests/dinomaly/download.
#include "dinomaly/base/files.h"
#include "dinomaly/base/sha256.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;

TEST_CASE(
    "encoder: what is not on this machine is named by every command that takes a name, and nothing is "
    "written") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string missing = "dinov2-small-reg: is not on this machine";
  const std::string home = (folder / "home").string(), data = (folder / "data").string(),
                    out = (folder / "out").string();
  const std::string before = "DINOMALY_HOME=" + home + " ", offline = "DINOMALY_OFFLINE=1 " + before;
  const auto refused = [&](const std::string& flags, const std::string& expected) {
    CAPTURE(flags);
    const Outcome outcome = run_dinomaly(folder, flags, offline);
    CHECK(outcome.status == 2);
    CHECK_MESSAGE(contains(outcome.error, expected), outcome.error);
    CHECK(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1);
    if (!contains(expected, missing)) return;
    // The same by the flag; without it a fetch would fail otherwise.
    const bool has_flag = !flags.starts_with("encoder path");
    const Outcome by_flag = run_dinomaly(folder, flags + (has_flag ? " --offline" : ""),
                                         "DINOMALY_MIRROR=http://127.0.0.1:1 " + before);
    CHECK(by_flag.status == 2);
    CHECK(by_flag.error == outcome.error);
  };
  refused("train " + data + " --encoder dinov2-small-reg --out " + out,
          home + "/dinov2_vits14_reg4_pretrain.pth");
  refused("train " + data + " --encoder dinov2-small-reg --out " + out, missing);
  refused("predict " + data + "/model --encoder dinov2-small-reg " + data, missing);
  refused("export x --encoder dinov2-small-reg --to authors --out " + out, missing);
  refused("convert dinov2-small-reg " + out + " --names timm", missing);
  refused("info dinov2-small-reg", missing);
  for (const char* command : {"eval", "calibrate"})
    refused(fmt::format("{} {}/model {} --encoder dinov2-small-reg", command, data, data), missing);
  refused("encoder path dinov2-small-reg", missing + ": dinomaly encoder fetch dinov2-small-reg");
  refused("info dinov2-smal", "did you mean 'dinov2-small'?");
  refused("encoder fetch dinov2-small-reg", missing);
  refused("encoder fetch dinov2-smal", "did you mean 'dinov2-small'?");
  refused("encoder verify", "holds none");
  refused("encoder", "no command is given");
  for (const std::string command : {"list", "fetch", "path", "verify"}) {
    const std::string help = run_dinomaly(folder, "encoder " + command + " --help").out;
    CHECK_MESSAGE(contains(help, "Example: dinomaly encoder " + command), help);
  }
  CHECK_FALSE(std::filesystem::exists(out));
  CHECK_FALSE(std::filesystem::exists(home));
  const Outcome list = run_dinomaly(folder, "encoder list", before);
  CHECK(list.status == 0);
  for (const char* word : {"dinov2-large-reg", "1024", "not fetched"})
    CHECK_MESSAGE(contains(list.out, word), list.out);
}

TEST_CASE("encoder: what stands under a name must be that encoder; a file of that name is a file") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string home = (folder / "home").string();
  std::filesystem::create_directories(home);
  std::filesystem::copy(folder / "encoder.safetensors", home + "/dinov2_vits14_pretrain.pth");
  const std::string before = "DINOMALY_HOME=" + home + " ";
  for (const std::string& place : {std::string(300, 'x'), folder.path().string() + "/data/wood"}) {
    std::filesystem::create_directories(folder / "data/wood/dinov2_vits14_pretrain.pth");
    const Outcome outcome = run_dinomaly(folder, "encoder list", "DINOMALY_HOME=" + place + " ");
    CHECK(outcome.status == 2);
    CHECK_MESSAGE(contains(outcome.error, place), outcome.error);
  }
  const Outcome wrong = run_dinomaly(folder, "encoder verify dinov2-small", before);
  CHECK(wrong.status == 2);
  CHECK_MESSAGE(contains(wrong.error, "is not dinov2-small: it has width 32, 4 blocks"), wrong.error);
  const Outcome path = run_dinomaly(folder, "encoder path dinov2-small", before);
  CHECK(path.out == home + "/dinov2_vits14_pretrain.pth\n");
  std::filesystem::copy(folder / "encoder.safetensors", folder / "dinov2-base");
  const Outcome info =
      run_dinomaly(folder, "info dinov2-base --heads 2", "cd " + folder.path().string() + " && " + before);
  CHECK_MESSAGE(contains(info.out, "width: 32"), info.out, info.error);
}

TEST_CASE("encoder: a run's config has the name, so that it goes on where the encoder lies elsewhere") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const auto home = [&](const char* name) {
    std::filesystem::create_directories(folder / name);
    return fmt::format("DINOMALY_HOME={} ", (folder / name).string());
  };
  const std::string here = home("here"), there = home("there");
  const auto file_in = [&](const char* name) { return folder / name / "dinov2_vits14_pretrain.pth"; };
  std::filesystem::copy(folder / "encoder.safetensors", file_in("here"));
  std::string run = small_run(folder, "out") + "--checkpoint-every 2 --calibrate none ";
  run.replace(run.find((folder / "encoder.safetensors").string()),
              (folder / "encoder.safetensors").string().size(), "dinov2-small");
  const Outcome first = run_dinomaly(folder, run + "--offline --iterations 2", here);
  REQUIRE_MESSAGE(first.status == 0, first.error);
  const nlohmann::json config = json_of(folder / "out/config.json");
  CHECK(config["encoder"] == "dinov2-small");
  CHECK(config["encoder_sha256"] == sha256_of(bytes_of(folder / "encoder.safetensors")));
  CHECK(!contains(config.dump(), "dinov2_vits14_pretrain.pth"));

  const std::string resume =
      fmt::format("train --resume --offline --out {} --iterations ", (folder / "out").string());
  std::filesystem::rename(file_in("here"), file_in("there"));
  CHECK(contains(run_dinomaly(folder, resume + "4", here).error, "dinov2-small: is not on this machine"));
  const Outcome moved = run_dinomaly(folder, resume + "4", there);
  CHECK_MESSAGE(moved.status == 0, moved.error);
  CHECK(contains(moved.out, "continuing from"));
  write_file(file_in("there"), bytes_of(file_in("there")) + " ");
  std::filesystem::remove(file_in("there").string() + ".sha256");
  const Outcome other = run_dinomaly(folder, resume + "6", there);
  CHECK(other.status == 2);
  CHECK_MESSAGE(contains(other.error, "not " + config["encoder_sha256"].get<std::string>()), other.error);

  // A run of an earlier version has the file.
  nlohmann::json earlier = config;
  earlier["encoder"] = (folder / "encoder.safetensors").string();
  earlier.erase("encoder_sha256");
  write_file(folder / "out/config.json", earlier.dump());
  const Outcome old = run_dinomaly(folder, resume + "6", here);
  CHECK_MESSAGE(old.status == 0, old.error);
  CHECK(contains(old.out, "continuing from"));
}
