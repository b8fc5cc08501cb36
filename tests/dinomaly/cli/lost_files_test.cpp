// No command destroys what it reads, a device, or what another run is writing.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "dinomaly/base/folder_lock.h"
#include "dinomaly/cli/command_files.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

// The flags are refused with one line that names `flag` and `file`, and the file keeps its bytes.
void check_kept(const TemporaryFolder& folder, const std::string& flags, const std::string& flag,
                const fs::path& file) {
  CAPTURE(flags);
  const std::string before = bytes_of(file);
  const Outcome outcome = run_dinomaly(folder, flags);
  CHECK(outcome.status == 2);
  CHECK_MESSAGE((contains(outcome.error, flag) && contains(outcome.error, file.string())), outcome.error);
  CHECK_MESSAGE(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1, outcome.error);
  CHECK(bytes_of(file) == before);
}

}  // namespace

TEST_CASE("commands: an output that is an input is refused, whatever it is called, and the input stays") {
  const TemporaryFolder folder;
  make_small_project(folder);
  save_safetensors(folder / "encoder", tiny_encoder().tensors);
  const std::string at = folder.path().string(), model = at + "/model", data = at + "/data",
                    image = data + "/wood/test/good/000.png", both = model + " " + data + " ";
  fs::create_symlink(model, folder / "link");
  fs::create_hard_link(model, folder / "second");
  fs::create_directories(folder / "sub");
  write_file(folder / "log.csv", "iteration,loss\n0,1.5\n1,0.5\n");
  const std::string round = at + "/sub/../model";
  check_kept(folder, "convert " + at + "/encoder " + at + "/encoder --names meta", "OUT", folder / "encoder");
  check_kept(folder, "export " + model + " --to authors --out " + model, "--out", model);
  check_kept(folder, "export " + model + " --to authors --out " + at + "/link", "--out", model);
  check_kept(folder, "export " + model + " --to authors --out " + at + "/second", "--out", model);
  check_kept(folder, "export " + model + " --to authors --out " + round, "--out", model);
  check_kept(folder, "report " + both + "--out " + model, "--out", model);
  check_kept(folder, "report " + both + "--out " + at + "/log.csv", "--out", folder / "log.csv");
  check_kept(folder, "report " + both + "--out " + image, "--out", image);
  check_kept(folder, "report " + both + "--categories weave --out " + image, "--out", image);
  check_kept(folder, "eval " + both + "--json " + model, "--json", model);
  check_kept(folder, "eval " + both + "--csv " + round, "--csv", model);
  check_kept(folder, "eval " + both + "--csv " + data + "/wood/train/good/000.png", "--csv",
             data + "/wood/train/good/000.png");
  check_kept(folder, "calibrate " + both + "--out " + image, "--out", image);
  const auto mask = fs::directory_iterator(folder / "data/wood/ground_truth")->path();
  const auto first_mask = fs::directory_iterator(mask)->path();
  check_kept(folder, "calibrate " + both + "--out " + first_mask.string(), "--out", first_mask);
  // In place is what calibrate is for; the other outputs are written beside the inputs.
  CHECK(run_dinomaly(folder, "calibrate " + both + "--force").status == 0);
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(run_dinomaly(folder, "eval " + both + "--json " + data + "/numbers.json").status == 0);
  CHECK(run_dinomaly(folder, "eval " + both + "--json " + data + "/numbers.json").status == 0);
  const Outcome twice =
      run_dinomaly(folder, "eval " + both + "--json " + at + "/x --csv " + at + "/sub/../x");
  CHECK(twice.status == 2);
  CHECK_MESSAGE(contains(twice.error, "is also the file of --json"), twice.error);
  CHECK_FALSE(fs::exists(folder / "x"));
}

TEST_CASE("commands: lists of a data set, shards and maps are inputs, too") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string at = folder.path().string(), both = at + "/model " + at;
  write_file(
      folder / "list.csv",
      "path,label,split\ndata/wood/test/good/000.png,good,test\ndata/wood/test/good/001.png,anomalous,test\n"
      "data/wood/test/good/002.png,good,train\n");
  check_kept(folder, "eval " + both + "/list.csv --json " + at + "/list.csv", "--json", folder / "list.csv");
  const std::string image = at + "/data/wood/test/good/001.png";
  check_kept(folder, "eval " + both + "/list.csv --json " + image, "--json", image);
  CommandFiles files;
  write_file(folder / "visa/split_csv/1cls.csv", "object");
  files.reads_data(folder / "visa", {});
  CHECK(one_line_with(input_error([&] { files.check_output("--json", folder / "visa/split_csv/1cls.csv"); }),
                      "file of the data"));
  fs::create_directories(folder / "shards");
  save_safetensors(folder / "shards/model-00001.safetensors", {{"a", Tensor::ones({1})}});
  write_file(folder / "shards/model.safetensors.index.json",
             R"({"weight_map": {"a": "model-00001.safetensors"}})");
  files.reads_weights(folder / "shards");
  for (const char* name : {"shards/model-00001.safetensors", "shards/model.safetensors.index.json"})
    CHECK(one_line_with(input_error([&] { files.check_output("--out", folder / name); }), name));
  CHECK(input_error([&] { files.check_output("--out", folder / "shards/new.safetensors"); }).empty());
}

TEST_CASE("predict and eval write no map or overlay over a file that is none of theirs") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string at = folder.path().string(), image = bytes_of(folder / "data/wood/test/good/000.png");
  write_file(folder / "in/a.png", image);
  write_file(folder / "in/a.tiff", "another program's");
  write_file(folder / "in/a_overlay.png", image);
  const Outcome outcome =
      run_dinomaly(folder, fmt::format("predict {0}/model {0}/in/a.png --map-format tiff --out {0}/in", at));
  CHECK(outcome.status == 2);
  CHECK_MESSAGE(contains(outcome.error, "in/a.tiff: exists and is no result of this program"), outcome.error);
  CHECK_MESSAGE(contains(outcome.error, "in/a_overlay.png: exists"), outcome.error);
  CHECK(contains(outcome.out, "a.png"));  // the verdict is out all the same
  CHECK(bytes_of(folder / "in/a.tiff") == "another program's");
  CHECK(bytes_of(folder / "in/a_overlay.png") == image);
  check_refused(
      folder,
      fmt::format("eval {0}/model {0}/data --export-maps {0}/maps --json {0}/maps/wood/test/good/000.tiff",
                  at),
      "--export-maps: " + at + "/maps/wood/test/good/000.tiff is also the file of --json");
  write_file(folder / "maps/wood/test/good/000.tiff", "another program's");
  check_kept(folder, fmt::format("eval {0}/model {0}/data --export-maps {0}/maps", at), "000.tiff",
             folder / "maps/wood/test/good/000.tiff");
}

TEST_CASE("predict and eval leave no result of an earlier run for an image that they judge anew") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string at = folder.path().string();
  const auto files_of = [&](const fs::path& name) {
    std::string found;
    for (const char* suffix : {"_overlay.png", ".tiff", ".npy"})
      found += fs::exists(name.string() + suffix) ? std::string(suffix) + " " : "";
    return found;
  };
  const std::string predict =
      fmt::format("predict {0}/model {0}/data/wood/test/good/000.png --out {0}/out ", at);
  for (const auto& [flags, expected] : {std::pair("--map-format tiff", "_overlay.png .tiff "),
                                        {"--map-format npy", "_overlay.png .npy "},
                                        {"--map-format tiff --no-overlay", ".tiff "},
                                        {"", "_overlay.png "}}) {
    run_well(folder, predict + flags);
    CHECK(files_of(folder / "out/000") == expected);
  }
  // Files of others stay, as does a map in a folder that is not marked: an NPY bears no mark of its own.
  write_file(folder / "out/000.tiff", "mine");
  write_file(folder / "mine/note.txt", "");
  run_well(folder, predict);
  CHECK(files_of(folder / "out/000") == "_overlay.png .tiff ");
  const std::string into_mine =
      fmt::format("predict {0}/model {0}/data/wood/test/good/000.png --out {0}/mine ", at);
  run_well(folder, into_mine + "--map-format npy");
  run_well(folder, into_mine + "--no-overlay");
  CHECK(files_of(folder / "mine/000") == ".npy ");
  run_well(folder,
           fmt::format("predict {0}/model {0}/data/wood/test --out {0}/maps/wood/test --map-format npy", at));
  CHECK(files_of(folder / "maps/wood/test/good/000") == "_overlay.png .npy ");
  fs::rename(folder / "maps/wood/test/.dinomaly", folder / "maps/.dinomaly");
  run_well(folder, fmt::format("eval {0}/model {0}/data --export-maps {0}/maps", at));
  CHECK(files_of(folder / "maps/wood/test/good/000") == ".tiff ");
}

TEST_CASE("train: results do not replace the encoder, the list of images or the options it reads") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string at = folder.path().string();
  fs::create_directories(folder / "out");
  fs::copy(folder / "encoder.safetensors", folder / "out/model.safetensors");
  const std::string run = small_run(folder, "out") + "--iterations 1 --force --encoder ";
  check_kept(folder, run + at + "/out/model.safetensors", "--out", folder / "out/model.safetensors");
  fs::create_symlink(folder / "out/model.safetensors", folder / "link.safetensors");
  check_kept(folder, run + at + "/link.safetensors", "--out", folder / "out/model.safetensors");
  fs::remove(folder / "out/model.safetensors");
  write_file(folder / "out/config.json", R"({"seed": 7})");
  check_kept(folder, small_run(folder, "out") + "--iterations 1 --config " + at + "/out/config.json",
             "--config", folder / "out/config.json");
  fs::remove(folder / "out/config.json");
  write_file(folder / "out/metrics.json", "{}");
  fs::permissions(folder / "out/metrics.json", fs::perms::owner_read);
  check_kept(folder, small_run(folder, "out") + "--iterations 1", "read-only", folder / "out/metrics.json");
}

TEST_CASE("commands: devices and pipes are written to, links stay links, read-only files stay") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string at = folder.path().string(), both = at + "/model " + at + "/data ";
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const int reader =
      open((folder / "pipe").c_str(), O_RDONLY | O_NONBLOCK);  // a pipe holds more than the metrics
  CHECK(run_dinomaly(folder, "eval " + both + "--json " + at + "/pipe").status == 0);
  std::string received(1 << 16, '\0');
  received.resize(static_cast<size_t>(std::max<ssize_t>(0, read(reader, received.data(), received.size()))));
  close(reader);
  CHECK(contains(received, "\"protocol\": \"paper\""));
  CHECK(fs::is_fifo(folder / "pipe"));
  if (mknod((folder / "null").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0) {
    for (const char* flags : {"eval MODEL --json NULL --csv NULL", "report MODEL --out NULL"}) {
      std::string line = flags;
      line.replace(line.find("MODEL "), 6, both);
      for (size_t i = 0; (i = line.find("NULL")) != std::string::npos;) line.replace(i, 4, at + "/null");
      CHECK(run_dinomaly(folder, line).status == 0);
      CHECK(fs::is_character_file(folder / "null"));
    }
    fs::create_symlink("null", folder / "to-null");
    CHECK(run_dinomaly(folder, "export " + at + "/model --to authors --out " + at + "/to-null").status == 0);
    CHECK(fs::is_character_file(folder / "null"));
  } else {
    skip("no right to make a device");
  }
  // Standard output by its other names: what is printed and what is written come one after the other.
  fs::create_symlink("/proc/self/fd/1", folder / "to-stdout");  // as /dev/stdout is
  const Outcome same = run_dinomaly(folder, "eval " + both + "--json " + at + "/to-stdout");
  CHECK(same.status == 0);
  CHECK_MESSAGE((contains(same.out, "\"protocol\": \"paper\"") && contains(same.out, "MVTec AD")), same.out);
  // A link to the model.
  fs::create_symlink("model", folder / "link");
  CHECK(run_dinomaly(folder, "calibrate " + at + "/link " + at + "/data --force").status == 0);
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(load_detector(folder / "model").calibration);
  fs::permissions(folder / "model", fs::perms::owner_read);
  check_kept(folder, "calibrate " + both + "--force", "read-only", folder / "model");
}

TEST_CASE("predict --out and eval --export-maps: a folder that another run writes into is refused") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string at = folder.path().string(), image = at + "/data/wood/test/good/000.png";
  const std::string predict = "predict " + at + "/model " + image + " --out " + at + "/out",
                    eval = "eval " + at + "/model " + at + "/data --export-maps " + at + "/out";
  {
    const FolderLock lock(folder / "out");
    check_refused(folder, predict, "another run is writing into this folder");
    check_refused(folder, eval, "another run is writing into this folder");
    CHECK(fs::is_empty(folder / "out"));
  }
  CHECK(run_dinomaly(folder, predict).status == 0);
  CHECK(run_dinomaly(folder, predict).status == 0);
  CHECK(run_dinomaly(folder, eval).status == 0);
}
