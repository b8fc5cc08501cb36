// --feature-whitening from the command line: training, resuming, kept features, threads, every command after it.
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/cli/train_program.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

const std::string white = "--feature-whitening 7 --whitening-shrinkage 0.05 ";

std::string model_of(const TemporaryFolder& folder, const std::string& out) {
  return bytes_of(folder / (out + "/model.safetensors"));
}

}  // namespace

TEST_CASE("train: a whitened model is judged, calibrated, described and explained as any other") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const Outcome trained = run_well(folder, small_run(folder, "out") + white + "--iterations 2");
  CHECK(contains(trained.out, "feature whitening of rank 7: 12 training images are encoded first"));
  const std::string model = (folder / "out/model.safetensors").string(), data = (folder / "data").string();
  CHECK(json_of(folder / "out/config.json").at("feature_whitening") == 7);
  const Outcome info = run_well(folder, "info " + model);
  CHECK(contains(info.out, "feature_whitening: 7"));
  CHECK(contains(info.out, "whitening_shrinkage: 0.05"));
  run_well(folder, "predict " + model + " " + data + "/wood/test/good --out " + (folder / "maps").string());
  const Outcome judged = run_well(folder, "eval " + model + " " + data);
  CHECK(contains(judged.out, "I-AUROC"));
  // As train judged it.
  const Outcome report =
      run_well(folder, "eval " + model + " " + data + " --json " + (folder / "eval.json").string());
  CHECK(json_of(folder / "eval.json").at("categories") ==
        json_of(folder / "out/metrics.json").at("categories"));
  run_well(folder, "calibrate " + model + " " + data + " --out " + (folder / "again").string());
  run_well(folder, "report " + model + " " + data + " --out " + (folder / "report.html").string());
  for (const char* target : {"authors", "anomalib"})
    check_refused(folder, "export " + model + " --to " + target + " --out " + (folder / "x").string(),
                  "has no feature whitening, but this model has one (rank 7)");
  CHECK_FALSE(fs::exists(folder / "x"));
}

TEST_CASE("train: a whitened run that is resumed ends with the same bits, and encodes nothing to finish") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = white + "--iterations 6 --checkpoint-every 2 ";
  run_well(folder, small_run(folder, "whole") + flags);
  run_well(folder, small_run(folder, "out") + flags);
  // As if it had been killed after the checkpoint of iteration 4.
  fs::remove(folder / "out/checkpoints/00000006.safetensors");
  fs::remove(folder / "out/model.safetensors");
  check_refused(folder, small_run(folder, "out") + "--iterations 6 --resume --feature-whitening 6",
                "option 'feature_whitening' is 6, but the checkpoint was trained with 7");
  check_refused(folder,
                small_run(folder, "out") +
                    "--resume --set feature_whitening=null "
                    "--set whitening_shrinkage=0.01",
                "option 'feature_whitening' is null, but the checkpoint was trained with 7");
  const Outcome resumed = run_well(folder, small_run(folder, "out") + "--resume");
  CHECK_FALSE(contains(resumed.out, "encoded first"));
  CHECK((model_of(folder, "out") == model_of(folder, "whole")));
  const Outcome finished = run_well(folder, small_run(folder, "out") + "--resume --finish");
  CHECK_FALSE(contains(finished.out, "encoded first"));
  CHECK((model_of(folder, "out") == model_of(folder, "whole")));
  // Nor does a run without it become one.
  run_well(folder, small_run(folder, "plain") + "--iterations 2 --checkpoint-every 2");
  check_refused(folder, small_run(folder, "plain") + "--iterations 4 --resume " + white,
                "option 'feature_whitening' is 7, but the checkpoint was trained with null");
}

TEST_CASE("train: kept features serve runs with any whitening, and change no bit of them") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const auto run = [&](const std::string& out, const std::string& flags) {
    return run_well(folder, small_run(folder, out) + "--iterations 2 --checkpoint-every 0 " + flags).out;
  };
  const std::string cache = "--feature-cache " + (folder / "cache").string() + " ";
  const std::string kept = ", from " + (folder / "cache").string();
  run("a", "--feature-whitening 7");
  run("b", "--feature-whitening 3");
  run("c", "");
  CHECK_FALSE(contains(run("a2", "--feature-whitening 7 " + cache), kept));
  CHECK(contains(run("b2", "--feature-whitening 3 " + cache), kept));
  CHECK(contains(run("c2", cache), kept));
  CHECK((model_of(folder, "a") == model_of(folder, "a2")));
  CHECK((model_of(folder, "b") == model_of(folder, "b2")));
  CHECK((model_of(folder, "c") == model_of(folder, "c2")));
  CHECK((model_of(folder, "a") != model_of(folder, "b")));
  CHECK(std::distance(fs::directory_iterator(folder / "cache"), fs::directory_iterator()) == 1);
}

TEST_CASE("train: a whitened model has the same bits with 1 to 4 threads, and as train_mvtec trains it") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = white + "--iterations 2 --checkpoint-every 0 --calibrate none --threads ";
  for (int threads = 1; threads <= 4; ++threads)
    run_well(folder, small_run(folder, fmt::format("out{}", threads)) + flags + std::to_string(threads));
  for (int threads = 2; threads <= 4; ++threads)
    CHECK((model_of(folder, "out1") == model_of(folder, fmt::format("out{}", threads))));
  const TrainOutcome example = run_training(
      folder, fmt::format("--data {0}/data --encoder {0}/encoder.safetensors --heads 2 --resize 56 "
                          "--crop 56 --batch 2 --set decoder_depth=2 --set map_size=32 "
                          "--iterations 2 ",
                          folder.path().string()) +
                  white);
  CHECK_MESSAGE(example.status == 0, example.error);
  const SafeTensors ours = SafeTensors::load(folder / "out1/model.safetensors"),
                    theirs = SafeTensors::load(folder / "out/model.safetensors");
  CHECK(ours.names() == theirs.names());
  for (const std::string& name : ours.names())
    CHECK((ours.get(name).to_vector<float>() == theirs.get(name).to_vector<float>()));
}

TEST_CASE("train: few images that are varied, bf16 and separate models can be whitened") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  for (const char* flags : {"--shots 2 --batch 2", "--precision bf16", "--separate", "--preset dinomaly2",
                            "--preset anomalib", "--set remove_class_token=true"}) {
    CAPTURE(flags);
    run_well(folder, small_run(folder, "out") + white + flags + " --iterations 2 --force");
  }
}

TEST_CASE("train: flags of whitening that make no sense are one clear line") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string run = small_run(folder, "out") + "--iterations 1 ";
  check_refused(folder, run + "--feature-whitening 0", "--feature-whitening: rank 0 is not positive");
  check_refused(folder, run + "--feature-whitening -3", "rank -3 is not positive");
  check_refused(folder, run + "--feature-whitening 33", "rank 33 is larger than the encoder's width 32");
  check_refused(folder, run + "--feature-whitening all", "--feature-whitening");
  check_refused(folder, run + "--feature-whitening 7 --whitening-shrinkage 0",
                "--whitening-shrinkage: 0 is not in (0, 1000]");
  check_refused(folder, run + "--feature-whitening 7 --whitening-shrinkage nan", "--whitening-shrinkage");
  check_refused(folder, run + "--feature-whitening 7 --whitening-shrinkage inf", "--whitening-shrinkage");
  check_refused(folder, run + "--whitening-shrinkage 0.1",
                "--whitening-shrinkage: there is no feature_whitening to be shrunk");
  check_refused(folder, run + "--feature-whitening 7 --feature-dtype int8", "--feature-dtype: whitening");
  check_refused(folder, run + "--set feature_whitening=true", "'feature_whitening' must be an integer");
  CHECK_FALSE(fs::exists(folder / "out"));
  // One image of one patch, and CLS.
  check_refused(folder,
                small_run(folder, "few") +
                    "--shots 1 --categories wood --batch 1 --resize 14 --crop 14 "
                    "--iterations 1 --feature-whitening 7",
                "rank 7, but the training images have only 2 tokens");
  CHECK_FALSE(fs::exists(folder / "few/model.safetensors"));
}
