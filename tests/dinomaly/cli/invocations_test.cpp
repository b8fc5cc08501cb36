// Wrong invocations of the program: each ends with the stated status and one line that says what was wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/program.h"

using namespace dinomaly;

namespace {

struct Invocation {
  // MODEL, ENCODER, DATA, EMPTY (a folder), GOOD (an image) and TMP (with what bad_inputs() writes) stand
  // for paths that exist; OUT does not yet; FLAGS for those of a training run that would go well.
  const char* flags;
  const char* expected;  // a part of the line
  int status = 2;
};

constexpr Invocation wrong[] = {
    {"", "no command is given; dinomaly --help lists them\n"},
    {"no-such-command", "no-such-command"},
    {"encoder", "no command is given; dinomaly encoder --help lists them\n"},
    {"encoder foo", "there is no command 'foo'; dinomaly encoder --help lists them\n"},
    {"encoder lst", "did you mean 'list'?"},
    {"predict", "MODEL"},
    {"predict MODEL", "no images"},
    {"predict MODEL GOOD --no-such-flag", "--no-such-flag"},
    {"predict /nowhere.safetensors GOOD", "/nowhere.safetensors"},
    {"predict GOOD GOOD", "000.png"},
    {"predict DATA GOOD", "data"},
    {"predict MODEL MODEL.folder", "no such file"},
    {"predict MODEL EMPTY", "no images"},
    {"predict MODEL - - </dev/null", "twice"},
    {"predict MODEL GOOD --map-format png", "png"},
    {"predict MODEL GOOD --map-format tiff", "--out"},
    {"predict MODEL GOOD --tile 4", "--tile"},
    {"predict MODEL GOOD --tile -5", "--tile: -5 is not within 16..32768\n"},
    {"predict MODEL GOOD --tile 64 --overlap 40", "--overlap"},
    {"predict MODEL GOOD --overlap 40", "--overlap"},
    {"predict MODEL GOOD --tile many", "--tile"},
    {"predict MODEL GOOD --object-by name", "--object-by: 'name'"},
    {"predict MODEL GOOD --object-by folder --tile 64", "--object-by: objects"},
    {"predict MODEL --watch EMPTY --object-by folder", "--object-by: with --watch"},
    {"predict MODEL GOOD --threshold high", "--threshold"},
    {"predict MODEL GOOD --threshold nan", "--threshold: 'nan' is not a number"},
    {"predict MODEL GOOD --threshold inf", "--threshold: 'inf' is not a finite number"},
    {"predict MODEL GOOD --threshold=-inf", "--threshold: '-inf' is not a finite number"},
    {"predict MODEL GOOD --threshold 1e-400", "--threshold: '1e-400' is too small a number"},
    {"predict MODEL GOOD --threshold 0x1p3", "--threshold: '0x1p3'"},
    {"predict MODEL GOOD --threshold 1,5", "--threshold: '1,5' is not a number"},
    {"predict MODEL GOOD --batch 0x10", "--batch: '0x10' is not a whole number"},
    {"predict MODEL GOOD --batch 1.5", "--batch: '1.5' is not a whole number"},
    {"predict MODEL GOOD --batch ''", "--batch"},
    {"predict MODEL GOOD --threshold 1e39", "--threshold: 1e+39"},
    {"predict MODEL GOOD --threshold 1e999", "--threshold: '1e999' is not a finite number"},
    {"predict MODEL GOOD --pixel-threshold nan", "--pixel-threshold: 'nan'"},
    {"predict MODEL GOOD --pixel-threshold -inf", "--pixel-threshold: '-inf'"},
    {"predict MODEL GOOD --fail-on-anomaly", "not calibrated"},
    {"predict MODEL GOOD --category wood", "not calibrated"},
    {"predict MODEL GOOD --min-area 0", "--min-area"},
    {"predict MODEL GOOD --batch 0", "--batch"},
    {"predict MODEL GOOD --batch -3", "--batch"},
    {"predict MODEL GOOD --threads -1", "--threads: -1 is not from 0 to 1024\n"},
    {"predict MODEL GOOD --threads=", "--threads: give a whole number from 0 to 1024\n"},
    {"predict MODEL GOOD --threads", "--threads: give a whole number from 0 to 1024\n"},
    {"predict MODEL GOOD --threshold=", "--threshold: give a number\n"},
    {"predict MODEL GOOD --out=", "--out: give a value\n"},
    {"predict MODEL GOOD --out a --out b", "--out is given twice\n"},
    {"predict MODEL GOOD --threads 1 --threads 2 --threads 3", "--threads is given 3 times\n"},
    {"predict MODEL GOOD --every 0", "--every: 0 is not above 0\n"},
    {"predict MODEL GOOD --give-up 0", "--give-up: 0 is not above 0\n"},
    {"predict MODEL GOOD --device tpu", "--device: unknown device 'tpu'"},
    {"predict MODEL GOOD --device cuda:999", "cuda:999"},
    {"predict MODEL GOOD --heads 5", "5"},
    {"predict MODEL GOOD --encoder /nowhere", "encoder"},
    {"predict MODEL --watch /nowhere", "/nowhere"},
    {"predict MODEL --watch EMPTY --out EMPTY", "watched"},
    {"predict MODEL GOOD --out GOOD/below", "cannot make"},
    {"eval", "MODEL"},
    {"eval MODEL", "DATA"},
    {"eval MODEL /nowhere", "/nowhere"},
    {"eval MODEL EMPTY", "empty"},
    {"eval MODEL DATA --protocol both", "both"},
    {"eval MODEL DATA --categories glass", "glass"},
    {"eval MODEL DATA --categories wood,wood", "wood"},
    {"eval MODEL DATA --tile 64", "--tile"},
    {"eval MODEL DATA --json", "--json"},
    {"eval MODEL DATA --csv GOOD/below", "below"},
    {"eval EMPTY DATA", "--protocol official"},
    {"eval EMPTY DATA --protocol official", "tiff"},
    {"eval EMPTY DATA --protocol official --export-maps OUT", "--export-maps"},
    {"calibrate", "MODEL"},
    {"calibrate MODEL", "DATA"},
    {"calibrate MODEL DATA --method guess", "guess"},
    {"calibrate MODEL DATA --false-alarm-rate nan", "--false-alarm-rate"},
    {"calibrate MODEL DATA --false-alarm-rate 0", "--false-alarm-rate: 0 is not from 1e-12 to below 1\n"},
    {"calibrate MODEL DATA --false-alarm-rate 1.5", "--false-alarm-rate"},
    {"calibrate MODEL DATA --false-alarm-rate low", "--false-alarm-rate"},
    {"calibrate MODEL DATA --split half", "half"},
    {"calibrate MODEL DATA --split train --method f1", "F1"},
    {"calibrate MODEL DATA --out GOOD/below", "below"},
    {"calibrate MODEL DATA --out EMPTY", "is a folder"},
    {"report MODEL DATA", "--out"},
    {"report MODEL DATA --out GOOD/below", "below"},
    {"report MODEL DATA --out OUT --log /nowhere.csv", "/nowhere.csv"},
    {"report MODEL DATA --out OUT --log GOOD", "training log"},
    {"report MODEL DATA --out OUT --images -1", "--images: -1 is not from 0 to 100000\n"},
    {"make-dataset", "DIR"},
    {"make-dataset OUT --categories glass", "--categories: there is no 'glass'"},
    {"make-dataset GOOD", "000.png"},
    {"predict TMP/torn GOOD", "torn"},
    {"predict TMP/junk GOOD", "junk"},
    {"predict TMP/state GOOD", "the checkpoint of a training run"},
    {"predict TMP/deep GOOD", "calibration"},
    {"predict TMP/no-threshold GOOD", "calibration"},
    {"predict MODEL TMP/wide.png", "40000 x 1 pixels"},
    {"predict MODEL TMP/link.png", "link.png: no such file"},
    {"predict ENCODER GOOD", "encoder"},
    {"predict MODEL TMP/junk", "junk"},
    {"predict MODEL TMP/cut.png", "cut.png"},
    {"predict MODEL GOOD --fail-on-anomaly --threshold", "--threshold"},
    {"predict MODEL GOOD --map-format tiff --out GOOD", "000.png"},
    {"eval MODEL DATA --layout other", "other"},
    {"eval MODEL DATA --layout real-iad", "realiad"},
    {"eval MODEL TMP/good-only", "no anomalous test images"},
    {"eval MODEL TMP/damaged", "damaged"},
    {"eval MODEL TMP/no-path.csv", "no column 'path'"},
    {"eval TMP/torn DATA", "torn"},
    {"eval MODEL DATA --export-maps GOOD/below", "below"},
    {"calibrate ENCODER DATA", "encoder"},
    {"calibrate TMP/torn DATA", "torn"},
    {"calibrate MODEL TMP/good-only --method f1", "F1"},
    {"calibrate MODEL DATA --tile 64 --overlap 60", "--overlap"},
    {"report MODEL TMP/good-only --out OUT", "no anomalous test images"},
    {"report TMP/junk DATA --out OUT", "junk"},
    {"info", "FILE"},
    {"info /nowhere", "/nowhere"},
    {"info EMPTY", "empty"},
    {"info TMP/junk", "junk"},
    {"info TMP/torn", "torn"},
    {"info TMP/deep", "calibration"},
    {"info TMP/hostile.pth", "hostile.pth"},
    {"info MODEL --heads -1", "--heads: -1 is not from 0 to 4096\n"},
    {"convert", "IN"},
    {"convert MODEL OUT", "--names"},
    {"convert MODEL OUT --names keras", "--names: 'keras'"},
    {"convert ENCODER OUT --names meta --categories wood", "--categories: belongs to --precision"},
    {"convert ENCODER OUT --names meta --data DATA", "--data: belongs to --precision"},
    {"convert MODEL TMP/new.pth --names meta", "not pickles"},
    {"convert TMP/junk OUT --names meta", "junk"},
    {"convert ENCODER GOOD/below --names meta", "below"},
    {"export MODEL --out OUT", "--to"},
    {"export MODEL --to authors", "--out"},
    {"export MODEL --to authors --out OUT --heads -1", "--heads: -1 is not from 0 to 4096\n"},
    {"serve a=", "a=: names no file; say NAME=FILE\n"},
    {"serve MODEL --feedback-limit 5", "--feedback-limit: there is nothing to limit without --feedback\n"},
    {"export MODEL --to keras --out OUT", "keras"},
    {"export MODEL --to anomalib --out OUT", "preset"},
    {"export ENCODER --to authors --out OUT", "encoder"},
    {"export TMP/torn --to authors --out OUT", "torn"},
    {"export MODEL --to authors --out GOOD/below", "below"},
    {"make-dataset OUT --size 0", "--size: 0 is not within 32..2048"},
    {"make-dataset OUT --train -1", "--train: -1 is not within"},
    {"make-dataset OUT --per-defect 0", "--per-defect: 0 is not within"},
    {"make-dataset OUT --seed many", "--seed"},
    {"train /nowhere FLAGS", "/nowhere"},
    {"train EMPTY FLAGS", "empty"},
    {"train --set dropuot=0.1 DATA FLAGS", "dropuot"},
    {"train TMP/linked FLAGS", "link to a file that does not exist"},
    {"train TMP/damaged-late FLAGS --separate", "damaged-late"},
    {"train DATA one two FLAGS", "The following arguments were not expected: one two\n"},
    {"train TMP/junk FLAGS", "junk"},
    {"train TMP/no-path.csv FLAGS", "no column 'path'"},
    {"train TMP/missing.csv FLAGS", "row 3"},
    {"train TMP/damaged FLAGS", "damaged"},
    {"train DATA FLAGS --layout folders", "folders"},
    {"train DATA FLAGS --layout csv", "data"},
    {"train DATA FLAGS --layout visa-raw", "1cls.csv"},
    {"train DATA FLAGS --categories glass", "glass"},
    {"train DATA FLAGS --categories wood,wood", "--categories: 'wood' is named twice"},
    {"train DATA FLAGS --categories ../data", "../data"},
    {"train DATA FLAGS --encoder /nowhere", "/nowhere"},
    {"train DATA FLAGS --encoder TMP/junk", "junk"},
    {"train DATA FLAGS --encoder TMP/hostile.pth", "hostile.pth"},
    {"train DATA FLAGS --heads 5", "5"},
    {"train DATA FLAGS --batch 100", "100"},
    {"train DATA FLAGS --batch 0", "--batch: 0 is not positive"},
    {"train DATA FLAGS --iterations -1", "--iterations: -1 is negative"},
    {"train DATA FLAGS --iterations many", "--iterations"},
    {"train DATA FLAGS --resize 50 --crop 50", "--crop: 50 x 50 is not a multiple"},
    {"train DATA FLAGS --crop 70", "--crop: 70 x 70 does not fit"},
    {"train DATA FLAGS --bit-depth 7", "--bit-depth: 7 is neither"},
    {"train DATA FLAGS --channels 17", "--channels: 17 is not within"},
    {"train DATA FLAGS --resize 56x", "--resize"},
    {"train DATA FLAGS --mean 1,2", "--mean: 2 values, but images have 3 channels"},
    {"train DATA FLAGS --mean .5", "--mean: 1 value, but images have 3 channels"},
    {"train DATA FLAGS --config TMP/means.json", "dinomaly: mean: 1 value, but"},
    {"train DATA FLAGS --set mean=[.5]", "dinomaly: mean: 1 value, but"},
    {"train DATA FLAGS --std 0,1,1", "--std: 0 is not positive"},
    {"train DATA FLAGS --preset theirs", "--preset: 'theirs'"},
    {"train DATA FLAGS --false-alarm-rate 1e-300", "--false-alarm-rate: 1e-300 is not from 1e-12 to below 1"},
    {"calibrate MODEL DATA --false-alarm-rate 1e-300",
     "--false-alarm-rate: 1e-300 is not from 1e-12 to below 1"},
    {"predict MODEL DATA --threshold 1e308", "--threshold: 1e+308 is no number within the range of scores"},
    {"train DATA FLAGS --encoder \"\"", "--encoder: its value is empty"},
    {"predict MODEL DATA --out \"\"", "--out: its value is empty"},
    {"eval MODEL \"\"", "is empty"},
    {"train DATA FLAGS --precision f16", "--precision: 'f16'"},
    {"train DATA FLAGS --threads 5000", "--threads"},
    {"train DATA FLAGS --set dropout", "NAME=VALUE"},
    {"train DATA FLAGS --set dropout=2", "dropout"},
    {"train DATA FLAGS --set dropuot=0.1", "dropuot"},
    {"train DATA FLAGS --set target_blocks=[1,9]", "block 9 does not exist"},
    {"train DATA FLAGS --set remove_class_token=true --set context_recentering=true", "class token"},
    {"train DATA FLAGS --set with_depth=true", "--set with_depth=true: the data decide"},
    {"train DATA FLAGS --set context_recentering=true --set recentering=none",
     "--set recentering=none: context_recentering is set, too"},
    {"train DATA FLAGS --set recentering=anomalib --set context_recentering=true",
     "--set context_recentering=true: recentering is set, too"},
    {"train DATA FLAGS --eval-every -1", "dinomaly: --eval-every: -1 is negative"},
    {"train DATA FLAGS --keep-best aupro", "--eval-every"},
    {"train DATA FLAGS --keep-best beauty --eval-every 1", "--keep-best: 'beauty'"},
    {"train DATA FLAGS --checkpoint-every -1", "dinomaly: --checkpoint-every: -1 is negative"},
    {"train DATA FLAGS --feature-memory -1", "--feature-memory: -1 is not a number of GB"},
    {"train DATA FLAGS --feature-memory nan", "--feature-memory"},
    {"train DATA FLAGS --feature-memory inf", "--feature-memory"},
    {"train DATA FLAGS --false-alarm-rate nan", "--false-alarm-rate"},
    {"train DATA FLAGS --set learning_rate=nan", "learning_rate"},
    {"train DATA FLAGS --set learning_rate=Infinity", "learning_rate"},
    {"train DATA FLAGS --set learning_rate=1e999", "learning_rate"},
    {"train DATA FLAGS --set learning_rate=-0.1", "learning_rate"},
    {"train DATA FLAGS --mean nan,0,0", "--mean"},
    {"train DATA FLAGS --mean 1e300,0,0", "mean"},
    {"train DATA FLAGS --config TMP/infinite.json", "not valid JSON"},
    {"train DATA FLAGS --feature-dtype f8", "f8"},
    {"train DATA FLAGS --feature-cache GOOD/below", "below"},
    {"train DATA FLAGS --calibrate often", "often"},
    {"train DATA FLAGS --false-alarm-rate 1", "--false-alarm-rate"},
    {"train DATA FLAGS --config /nowhere.json", "/nowhere.json"},
    {"train DATA FLAGS --config TMP/junk", "not valid JSON"},
    {"train DATA FLAGS --config TMP/typo.json", "dropuot"},
    {"train DATA FLAGS --config TMP/kind.json", "separate"},
    {"train DATA FLAGS --config EMPTY", "not a regular file"},
    {"train DATA FLAGS --out GOOD/below", "below"},
    {"train DATA FLAGS --no-such-flag", "--no-such-flag"},
};

static_assert(std::size(wrong) >= 60);

std::string with_paths(std::string flags, const TemporaryFolder& folder) {
  const std::pair<std::string, std::string> names[] = {
      {"FLAGS", "--encoder ENCODER --heads 2 --resize 56 --crop 56 --batch 2 --iterations 1 --out OUT"},
      {"TMP", folder.path().string()},
      {"ENCODER", (folder / "encoder").string()},
      {"MODEL", (folder / "model").string()},
      {"DATA", (folder / "data").string()},
      {"OUT", (folder / "out").string()},
      {"EMPTY", (folder / "empty").string()},
      {"GOOD", (folder / "data/wood/test/good/000.png").string()}};
  for (const auto& [name, path] : names) {
    for (size_t at = 0; (at = flags.find(name, at)) != std::string::npos; at += path.size())
      flags.replace(at, name.size(), path);
  }
  return flags;
}

void bad_inputs(const TemporaryFolder& folder) {
  std::filesystem::create_directories(folder / "empty");
  const std::string model = read_file(folder / "model", 1 << 24),
                    image = read_file(folder / "data/wood/test/good/000.png", 1 << 20);
  write_file(folder / "torn", model.substr(0, model.size() / 2));
  write_file(folder / "junk", "this is no model");
  write_file(folder / "hostile.pth", std::string("\x80\x02") + "cos\nsystem\n(S'true'\ntR.");
  write_file(folder / "cut.png", image.substr(0, image.size() / 2));
  save_safetensors(folder / "state", {{"model.x", Tensor::ones({1})}}, {{"kind", "dinomaly checkpoint"}});
  // As deep as a recursive reader's stack is not.
  const SafeTensors whole = SafeTensors::load(folder / "model");
  auto metadata = whole.metadata();
  metadata["calibration"] = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  NamedTensors tensors;
  for (const std::string& name : whole.names()) tensors.emplace_back(name, whole.get(name));
  save_safetensors(folder / "deep", tensors, metadata);
  metadata["calibration"] = Calibration{.all = {std::nan(""), 0.5}}.to_text();
  save_safetensors(folder / "no-threshold", tensors, metadata);
  save_png(folder / "wide.png", Image(40000, 1, 1));
  std::filesystem::create_symlink("gone.png", folder / "link.png");
  write_file(folder / "no-path.csv", "image,label\nx.png,good\n");
  write_file(folder / "missing.csv", "path,label\ndata/wood/test/good/000.png,good\nx.png,good\n");
  write_file(folder / "means.json", R"({"mean": [0.5]})");
  write_file(folder / "typo.json", R"({"dropuot": 0.1})");
  write_file(folder / "infinite.json", R"({"learning_rate": 1e999})");
  write_file(folder / "kind.json", R"({"separate": "yes"})");
  write_file(folder / "good-only/wood/train/good/000.png", image);
  write_file(folder / "good-only/wood/test/good/000.png", image);
  std::filesystem::copy(folder / "data", folder / "damaged", std::filesystem::copy_options::recursive);
  write_file(folder / "damaged/wood/test/good/001.png", image.substr(0, image.size() / 2));
  std::filesystem::copy(folder / "data", folder / "damaged-late", std::filesystem::copy_options::recursive);
  write_file(folder / "damaged-late/wood/train/good/001.png", image.substr(0, image.size() / 2));
  write_file(folder / "linked/000.png", image);
  std::filesystem::create_symlink("gone.png", folder / "linked/001.png");
}

}  // namespace

TEST_CASE("wrong invocations are one clear line and the right status") {
  const TemporaryFolder folder;
  make_small_project(folder);
  save_safetensors(folder / "encoder", tiny_encoder().tensors);
  bad_inputs(folder);
  const std::string model = read_file(folder / "model", 1 << 24);
  for (const Invocation& invocation : wrong) {
    const std::string flags = invocation.flags;
    CAPTURE(flags);
    const Outcome outcome = run_dinomaly(folder, with_paths(invocation.flags, folder));
    CHECK(outcome.status == invocation.status);
    CHECK_MESSAGE(outcome.error.find(invocation.expected) != std::string::npos, outcome.error);
    // The end of predict counts what was not judged.
    const bool counted = outcome.error.ends_with("dinomaly: the file was not judged\n");
    CHECK_MESSAGE(std::count(outcome.error.begin(), outcome.error.end(), '\n') == (counted ? 2 : 1),
                  outcome.error);
    CHECK(outcome.error.starts_with("dinomaly: "));
    CHECK(read_file(folder / "model", 1 << 24) == model);
    CHECK(std::filesystem::is_empty(folder / "empty"));
    const std::filesystem::path out = folder / "out";
    if (std::filesystem::exists(out)) CHECK(std::filesystem::is_empty(out));
  }
}

TEST_CASE("train: a flag that is given twice is refused, as by the other commands") {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  for (const auto& [flags, name] : {std::pair{"--out {0} --iterations 1 --out {0}2", "--out"},
                                    {"--iterations=2 --out {0} --iterations=3", "--iterations"}}) {
    const Outcome outcome =
        run_dinomaly(folder, fmt::format(fmt::runtime(" train " + std::string(flags)), out));
    CHECK(outcome.status == 2);
    CHECK(outcome.error == fmt::format("dinomaly: {} is given twice\n", name));
  }
  CHECK(!std::filesystem::exists(out));
}

TEST_CASE("every command explains itself, with examples") {
  const TemporaryFolder folder;
  CHECK(run_dinomaly(folder, "--help").out.find("Examples") != std::string::npos);
  CHECK(run_dinomaly(folder, "--version").out.starts_with("dinomaly 0."));
  for (const std::string command :
       {"train", "predict", "eval", "calibrate", "report", "info", "convert", "export", "make-dataset"}) {
    const Outcome outcome = run_dinomaly(folder, command + " --help");
    CHECK(outcome.status == 0);
    CHECK(outcome.out.find("dinomaly " + command + " ") != std::string::npos);
    CHECK(outcome.out.find("Example") != std::string::npos);
    CHECK(outcome.error.empty());
  }
}
