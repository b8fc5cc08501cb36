// SPEC "Model" 7: every option can be set from the command line and from a file; what comes later wins.
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/cli/parse_flags.h"
#include "dinomaly/cli/train_flags.h"
#include "tests/support.h"

namespace dinomaly {

using nlohmann::json;

namespace {

TrainOptions parse(std::vector<std::string> flags) {
  CLI::App app;
  const TrainFlags parsed(app);
  std::reverse(flags.begin(), flags.end());  // as CLI11 takes them
  app.parse(flags);
  return parsed.options();
}

std::string refusal_of(const std::vector<std::string>& flags) {
  return input_error([&] { parse(flags); });
}

}  // namespace

TEST_CASE("train options: without flags the authors' defaults hold") {
  const TrainOptions options = parse({});
  CHECK(options.config.to_json() == Config().to_json());
  CHECK(options.dtype() == Dtype::f32);
  CHECK_FALSE(options.data);
  CHECK_FALSE(options.encoder);
  CHECK(parse({"--preset", "anomalib"}).config.to_json() == Config::with_preset(Preset::anomalib).to_json());
}

TEST_CASE("train options: a list takes one word a flag, so that DATA may follow") {
  CLI::App app;
  const TrainFlags flags(app);
  app.parse("--categories a,b --set dropout=0.1 --set seed=7 data");
  const TrainOptions options = flags.options();
  CHECK(options.data == "data");
  CHECK(options.categories == std::vector<std::string>{"a", "b"});
  CHECK((options.config.dropout == 0.1 && options.config.seed == 7));
}

TEST_CASE("train options: every field by --set, and the same by --config") {
  const json defaults = Config().to_json();
  json changed = defaults;
  std::vector<std::string> flags;
  for (auto& [name, value] : changed.items()) {
    if (name == "preset" || name == "with_depth") continue;  // the latter follows from the data
    if (value.is_boolean())
      value = !value.get<bool>();
    else if (value.is_string())
      value = "anomalib";  // recentering
    else if (value.is_number_integer())
      value = value.get<int64_t>() + 2;
    else if (value.is_number())
      value = value.get<double>() / 2 + 0.125;
    else if (name == "mean" || name == "std")
      value = {0.25, 0.5, 0.75};
    else
      value = name == "target_blocks" ? json{1, 2} : json{{0}, {1}};
    CHECK(value != defaults[name]);
    flags.insert(flags.end(), {"--set", name + "=" + value.dump()});
  }
  CHECK(flags.size() > 70);
  CHECK(parse(flags).config.to_json() == changed);
  const TemporaryFolder folder;
  write_file(folder / "run.json", changed.dump(2));
  CHECK(parse({"--config", (folder / "run.json").string()}).config.to_json() == changed);
}

TEST_CASE("train options: a flag wins over --set, that over the file, that over the preset") {
  const TemporaryFolder folder;
  write_file(folder / "run.json", R"({"preset": "anomalib", "batch": 3, "iterations": 30, "dropout": 0.4})");
  const std::string file = (folder / "run.json").string();
  const Config from_file = parse({"--config", file}).config;
  CHECK(from_file.preset == Preset::anomalib);
  CHECK(from_file.adam_eps == 1e-8);
  CHECK(from_file.image.pipeline == ImagePipeline::torchvision);
  CHECK(from_file.iterations == 30);
  const Config all = parse({"--iterations", "10", "--set", "iterations=20", "--set", "batch=5", "--set",
                            "batch=4", "--config", file, "--preset", "paper"})
                         .config;
  CHECK(all.preset == Preset::paper);
  CHECK(all.adam_eps == 1e-10);
  CHECK(all.iterations == 10);
  CHECK(all.batch == 4);
  CHECK(all.dropout == 0.4);
}

TEST_CASE("train options: sizes, means and lists") {
  const TrainOptions options =
      parse({"--resize", "448x336", "--crop", "392x280", "--mean", "0.5,0.25,0", "--std", "1,2,3",
             "--categories", "bottle,pill", "--precision", "bf16", "--seed", "7"});
  CHECK(options.config.image.resize_h == 448);
  CHECK(options.config.image.resize_w == 336);
  CHECK(options.config.image.crop_h == 392);
  CHECK(options.config.image.crop_w == 280);
  CHECK(options.config.image.mean == std::vector<float>{0.5f, 0.25f, 0});
  CHECK(options.config.image.std == std::vector<float>{1, 2, 3});
  CHECK(options.categories == std::vector<std::string>{"bottle", "pill"});
  CHECK(options.dtype() == Dtype::bf16);
  CHECK(options.config.seed == 7);
}

TEST_CASE("train options: numbers are read as people write them") {
  const auto means = [](const std::string& text) { return parse({"--mean", text}).config.image.mean; };
  CHECK(means(".5,5.,+0.5") == std::vector<float>{0.5f, 5, 0.5f});
  CHECK(means(" 0.5, .25 , 1e-1 ") == std::vector<float>{0.5f, 0.25f, 0.1f});
  CHECK(means("-.5,-1E0,00.25") == std::vector<float>{-0.5f, -1, 0.25f});
  const TrainOptions sized = parse({"--resize", "4e2 x 0448", "--crop", " +392 "});
  CHECK(sized.config.image.resize_h == 400);
  CHECK(sized.config.image.resize_w == 448);
  CHECK(sized.config.image.crop_w == 392);
  const auto set = [](const std::string& setting) { return parse({"--set", setting}).config; };
  CHECK(set("dropout=.25").dropout == 0.25);
  CHECK(set("learning_rate=+1e-3").learning_rate == 1e-3);
  CHECK(set("iterations=1e3").iterations == 1000);
  CHECK(set("batch=016").batch == 16);
  CHECK(set("mean=[.5, 1., 0]").image.mean == std::vector<float>{0.5f, 1, 0});
  CHECK(set("target_blocks=2, 3").target_blocks == std::vector<int64_t>{2, 3});
  CHECK(set("encoder_groups=[[0],[1]]").encoder_groups.size() == 2);
}

TEST_CASE("flags: whole numbers and others are read as people write them, the rest is refused by name") {
  int64_t count = 0;
  uint64_t seed = 0;
  std::optional<double> share;
  const auto flags = [&](std::vector<std::string> words) {
    CLI::App app;
    app.add_option("--count", count)->check(CLI::Range(int64_t{-10}, int64_t{100000}));
    app.add_option("--share", share);
    app.add_subcommand("part")->add_option("--seed", seed);
    std::vector<char*> argv{words.front().data()};
    for (std::string& word : words) argv.push_back(word.data());
    return parse_flags(app, static_cast<int>(argv.size()), argv.data());
  };
  CHECK(flags({"--count", "010", "--share", ".5", "part", "--seed", "18446744073709551615"}));
  CHECK(count == 10);  // not eight
  CHECK(share == 0.5);
  CHECK(seed == 18446744073709551615u);
  CHECK(flags({"--count=1e4", "--share=-.5"}));
  CHECK(count == 10000);
  CHECK(share == -0.5);
  CHECK(flags({"--count", "-3.", "--share", "+1e-1"}));
  CHECK(count == -3);
  CHECK(share == 0.1);
  const auto refused = [&](std::vector<std::string> words) { return input_error([&] { flags(words); }); };
  CHECK(one_line_with(refused({"--count", "1.5"}), "--count: '1.5' is not a whole number"));
  CHECK(one_line_with(refused({"--count", "ten"}), "--count: 'ten' is not a whole number"));
  CHECK(one_line_with(refused({"--share", "0x1p3"}), "--share: '0x1p3' is not a number"));
  CHECK(one_line_with(refused({"part", "--seed", "-1"}), "--seed: -1 is negative"));
  CHECK(one_line_with(refused({"part", "--seed", "18446744073709551616"}),
                      "--seed: 18446744073709551616 is too"));
  CHECK(one_line_with(refused({"a", "b", "c"}), "The following arguments were not expected: a b c"));
  CHECK(one_line_with(refused({"a"}), "The following argument was not expected: a"));
}

TEST_CASE("train options: an option is named as a flag, unless it was named in the file or by --set") {
  const TemporaryFolder folder;
  write_file(folder / "run.json", R"({"batch": 0, "crop_w": 70})");
  const std::string file = (folder / "run.json").string();
  const auto fault = [](const std::vector<std::string>& flags) {
    return input_error([&] { parse(flags).complete_config(12, 14, 3); });
  };
  CHECK(fault({"--batch", "0"}) == "--batch: 0 is not positive");
  CHECK(fault({"--set", "batch=0"}) == "batch: 0 is not positive");
  CHECK(fault({"--config", file}) == "batch: 0 is not positive");
  CHECK(fault({"--config", file, "--batch", "-1"}) == "--batch: -1 is not positive");
  CHECK(fault({"--config", file, "--batch", "1", "--resize", "56"}).starts_with("crop: "));
  CHECK(fault({"--resize", "56"}).starts_with("--crop: 392 x 392 does not fit"));
  CHECK(fault({"--bit-depth", "3"}).starts_with("--bit-depth: 3 is neither"));
  CHECK(fault({"--set", "bit_depth=3"}).starts_with("bit_depth: 3 is neither"));
  CHECK(fault({"--channels", "5"}).starts_with("--channels: 5 do not fit the encoder"));
  CHECK(fault({"--mean", "1,2"}) == "--mean: 2 values, but images have 3 channels");
  CHECK(fault({"--set", "dropout=2"}) == "dropout: 2 is not in [0, 1)");
}

TEST_CASE("train options: the preset is chosen first and not changed later") {
  CHECK(one_line_with(refusal_of({"--set", "preset=\"anomalib\""}), "option 'preset' must be \"paper\""));
  const TemporaryFolder folder;
  write_file(folder / "run.json", R"({"preset": 3})");
  CHECK(one_line_with(refusal_of({"--config", (folder / "run.json").string()}),
                      "option 'preset' must be a name"));
  write_file(folder / "run.json", R"({"preset": "other"})");
  CHECK(one_line_with(refusal_of({"--config", (folder / "run.json").string()}), "run.json: preset: 'other'"));
}

TEST_CASE("train options: what is no value is one clear line") {
  for (const char* size :
       {"", "x", "448x", "x448", "-448", "0", "4.5", "0x1c0", "448x448x3", "99999999999999999999"}) {
    CAPTURE(size);
    CHECK(one_line_with(refusal_of({"--resize", size, "--crop", "56"}), "--resize: '"));
  }
  for (const char* mean : {"", "1,2,", "a,b,c", "1;2;3", "0x1,0,0", "nan,0,0", "1e39,0,0", ".,0,0", "1 2,0,0",
                           "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"})
    CHECK(one_line_with(refusal_of({"--mean", mean}), "--mean: '"));
  for (const char* setting : {"dropout=", "dropout=high", "dropout={", "=1"})
    CHECK(one_line_with(refusal_of({"--set", setting}), std::string("--set ") + setting));
  CHECK(one_line_with(refusal_of({"--set", "dropout"}), "not NAME=VALUE"));
  CHECK(one_line_with(refusal_of({"--set", "iterations=1e400"}), "not valid JSON"));
  CHECK(one_line_with(refusal_of({"--set", "iterations=many"}), "option 'iterations' must be an integer"));
  CHECK(parse({"--set", "recentering=anomalib"}).config.recentering == Recentering::anomalib);
  CHECK(one_line_with(refusal_of({"--precision", "i64"}), "i64"));
}

}  // namespace dinomaly
