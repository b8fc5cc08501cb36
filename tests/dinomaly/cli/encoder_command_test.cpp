// dinomaly encoder, and names where a command takes an encoder. What is fetched: tests/dinomaly/download.
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;

TEST_CASE(
    "encoder: what is not on this machine is named by every command that takes a name, and nothing is "
    "written") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string home = (folder / "home").string(), data = (folder / "data").string(),
                    out = (folder / "out").string();
  const std::string before = "DINOMALY_OFFLINE=1 DINOMALY_HOME=" + home + " ";
  const auto refused = [&](const std::string& flags, const std::string& expected) {
    CAPTURE(flags);
    const Outcome outcome = run_dinomaly(folder, flags, before);
    CHECK(outcome.status == 2);
    CHECK_MESSAGE(contains(outcome.error, expected), outcome.error);
    CHECK(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1);
  };
  const std::string file = home + "/dinov2_vits14_reg4_pretrain.pth",
                    missing = "dinov2-small-reg: is not on this machine";
  refused("train " + data + " --encoder dinov2-small-reg --out " + out, file);
  refused("predict " + data + "/model --encoder dinov2-small-reg " + data, missing);
  refused("export x --encoder dinov2-small-reg --to authors --out " + out, missing);
  refused("convert dinov2-small-reg " + out + " --names timm", missing);
  refused("info dinov2-small-reg", missing);
  refused("encoder path dinov2-small-reg", missing + ": dinomaly encoder fetch dinov2-small-reg");
  refused("info dinov2-smal", "did you mean 'dinov2-small'?");
  refused("encoder fetch dinov2-small-reg", missing);
  refused("encoder fetch dinov2-smal", "did you mean 'dinov2-small'?");
  refused("encoder verify", "holds none");
  refused("encoder", "subcommand");
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
