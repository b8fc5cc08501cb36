// predict with a model of images with depth, and the folders that hold them.
#include <thread>

#include "dinomaly/cli/image_source.h"
#include "dinomaly/cli/images_with_depth.h"
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/drawn_scene.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

// FOLDER/model, with random weights.
void save_depth_model(const TemporaryFolder& folder) {
  const EncoderWeights weights = tiny_encoder();
  Config config;
  config.with_depth = true;
  config.image.crop_h = config.image.crop_w = config.image.resize_h = config.image.resize_w = 56;
  Dinomaly model(weights.config, config);
  load_encoder_weights(model.encoder(), weights, "random encoder");
  save_model(folder / "model", model, model.encoder().config());
}

void add_scene(const fs::path& image, const fs::path& depth) {
  DrawnScene scene(64, 64);
  scene.put({15, 15, 30, 30}, 0.55f);
  fs::create_directories(image.parent_path());
  save_png(image, scene.rgb);
  scene.write_cloud(depth);
}

// As Eyecandies has it, with a depth map.
void add_candy(const fs::path& folder) {
  fs::create_directories(folder);
  for (const char* kind : {"image_3", "image_4", "normals"})
    save_png(folder / fmt::format("0_{}.png", kind), DrawnScene(32, 32).rgb);
  Image depth(32, 32, 1);
  std::fill(depth.pixels.begin(), depth.pixels.end(), uint8_t{9});
  save_png(folder / "0_depth.png", depth);
  save_png(folder / "0_mask.png", Image(32, 32, 1));
  write_file(folder / "0_metadata.yaml", "light: 1");
}

int lines_of(const std::string& text) { return static_cast<int>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

TEST_CASE("predict with depth: what belongs to an image is passed over and counted, whatever the layout") {
  const TemporaryFolder folder;
  save_depth_model(folder);
  add_scene(folder / "in/side/a.png", folder / "in/side/a_depth.tiff");
  add_scene(folder / "in/bad/rgb/7.png", folder / "in/bad/xyz/7.tiff");
  save_png(folder / "in/bad/gt/7.png", Image(64, 64, 1));
  add_candy(folder / "in/data");
  const std::string predict = fmt::format("predict {0}/model {0}/in", folder.path().string());
  const Outcome outcome = run_well(folder, predict);
  CHECK(lines_of(outcome.out) == 3);
  CHECK_MESSAGE(without_first_line(outcome.error) ==
                    "dinomaly: passed over, because they belong to images: 3 depth files, 2 masks, 3 other "
                    "renderings\n",
                outcome.error);
  const Outcome objects = run_well(folder, predict + " --object-by folder");
  CHECK_MESSAGE(lines_of(objects.out) == 6, objects.out);
  CHECK_FALSE(contains(objects.out, "xyz"));

  fs::remove(folder / "in/bad/rgb/7.png");
  add_scene(folder / "in/side/b.png", folder / "in/side/c_depth.tiff");
  write_file(folder / "in/side/b_depth.npy", "an array");
  const Outcome wrong = run_dinomaly(folder, predict);
  CHECK(wrong.status == 2);
  CHECK(lines_of(wrong.out) == 2);
  for (const char* line :
       {"xyz/7.tiff: the depth of an image that is missing", "gt/7.png: the mask of an image that is",
        "side/c_depth.tiff: the depth of an image that is missing",
        "side/b.png: its depth is missing: there is no b_depth.tiff", "(b_depth.npy is not read",
        "dinomaly: 4 of 6 files were not judged"})
    CHECK_MESSAGE(contains(wrong.error, line), wrong.error);

  const std::string depth = (folder / "in/side/a_depth.tiff").string();
  check_refused(folder, fmt::format("predict {}/model {}", folder.path().string(), depth),
                "no images: what is named belongs to images, which are to be named instead: 1: a_depth.tiff");
  write_file(folder / "names", depth + "\n");
  const Outcome named =
      run_dinomaly(folder, fmt::format("predict {0}/model - <{0}/names", folder.path().string()));
  CHECK(named.status == 2);
  CHECK(contains(named.error, "no images: what is named belongs to images"));
}

TEST_CASE("predict with depth: a model of images alone takes each file for an image, as it did") {
  const TemporaryFolder folder;
  const auto model = small_model();
  save_model(folder / "model", *model, model->encoder().config());
  add_candy(folder / "in");
  const Outcome outcome =
      run_dinomaly(folder, fmt::format("predict {0}/model {0}/in", folder.path().string()));
  CHECK(outcome.status == 2);
  CHECK(lines_of(outcome.out) == 5);
  CHECK_FALSE(contains(outcome.error, "passed over"));
  CHECK(contains(outcome.error, "1 file is not an image and is left out: 0_metadata.yaml"));
  for (const char* part : {"train/good", "test/good", "test/bad"})
    add_scene(folder / "set/bagel" / part / "rgb/1.png", folder / "set/bagel" / part / "xyz/1.tiff");
  save_png(folder / "set/bagel/test/bad/gt/1.png", Image(64, 64, 1));
  const Outcome refused = run_dinomaly(folder, fmt::format("eval {0}/model {0}/set", folder.path().string()));
  CHECK(refused.status == 2);
  CHECK_MESSAGE(contains(refused.error, "bad/xyz/1.tiff, but " + (folder / "model").string() +
                                            " was trained on images without"),
                refused.error);
}

TEST_CASE("predict with depth: what belongs to an image moves with it; calibrate names what has no depth") {
  const TemporaryFolder folder;
  save_depth_model(folder);
  add_scene(folder / "in/a.png", folder / "in/a_depth.tiff");
  add_scene(folder / "in/bad/rgb/7.png", folder / "in/bad/xyz/7.tiff");
  run_well(folder,
           fmt::format("predict {0}/model {0}/in --threshold 0 --move-to {0}/done", folder.path().string()));
  for (const char* name : {"a.png", "a_depth.tiff", "bad/rgb/7.png", "bad/xyz/7.tiff"}) {
    CHECK(fs::exists(folder / "done/anomalous" / name));
    CHECK_FALSE(fs::exists(folder / "in" / name));
  }
  // Where they went they are found again.
  CHECK(lines_of(run_well(folder, fmt::format("predict {0}/model {0}/done", folder.path().string())).out) ==
        2);
  save_png(folder / "plain/a.png", DrawnScene(64, 64).rgb);
  const std::string refusal =
      "plain/a.png: its depth is missing: there is no a_depth.tiff, .tif or .png beside it; " +
      (folder / "model").string() + " was trained on images with depth (--layout mvtec-3d";
  check_refused(folder, fmt::format("calibrate {0}/model {0}/plain --split train", folder.path().string()),
                refusal);
  for (const char* name : {"train/good/0.png", "test/good/0.png", "test/bad/1.png"})
    save_png(folder / "set/part" / name, DrawnScene(64, 64).rgb);
  for (const char* command :
       {"eval {0}/model {0}/set --protocol official", "report {0}/model {0}/set --out {0}/x.html"})
    check_refused(folder, fmt::format(fmt::runtime(command), folder.path().string()),
                  "bad/1.png: its depth is missing");
}

TEST_CASE("watch with depth: an image waits for its depth, a depth for its image, and neither for ever") {
  const TemporaryFolder folder;
  const fs::path in = folder / "in";
  fs::create_directories(in / "xyz");
  fs::create_directories(in / "rgb");
  ImageSource source({}, in.string());
  source.take_depth(std::chrono::milliseconds(1500));
  std::vector<Picture> pictures;
  std::jthread reader([&](std::stop_token stop) {
    while (auto picture = source.next(stop)) pictures.push_back(*picture);
  });
  const std::string image = encode_png(Image(2, 2, 3));
  write_file(in / "late.png", image);
  write_file(in / "early_depth.png", image);
  write_file(in / "rgb/7.png", image);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  write_file(in / "xyz/7.tiff", image);
  write_file(in / "late_depth.png", image);
  write_file(in / "early.png", image);
  write_file(in / "never.png", image);
  write_file(in / "alone_depth.png", image);
  std::this_thread::sleep_for(std::chrono::milliseconds(3000));
  write_file(in / "waits.png", image);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  reader.request_stop();
  reader.join();
  std::map<std::string, std::string> found;  // what was wrong, or which depth
  for (const Picture& picture : pictures)
    found[picture.path.filename().string()] =
        picture.depth ? picture.depth->filename().string() : picture.fault;
  CHECK(pictures.size() == 5);
  CHECK(found["late.png"] == "late_depth.png");
  CHECK(found["early.png"] == "early_depth.png");
  CHECK(found["7.png"] == "7.tiff");
  CHECK(one_line_with(found["never.png"], "never.png: its depth is missing"));
  CHECK(contains(found["never.png"], "(waited 1.5 seconds)"));
  CHECK(one_line_with(found["alone"], "alone_depth.png: the depth of an image that is missing"));
  CHECK(source.companions() == "3 depth files");
  REQUIRE(source.waiting().size() == 1);
  CHECK(source.waiting()[0] == in / "waits.png");
}

TEST_CASE("watch with depth: an image that comes again is not judged with the depth of the one before") {
  const TemporaryFolder folder;
  const fs::path image = folder / "part.png", depth = folder / "part_depth.png";
  ImagesWithDepth images(std::chrono::milliseconds(200));
  write_file(image, encode_png(Image(2, 2, 3)));
  write_file(depth, encode_png(Image(2, 2, 1)));
  const auto first = images.arrive(image);
  REQUIRE(first);
  CHECK(first->fault.empty());
  CHECK(images.arrive(image));  // the same file, reported twice
  write_file(image, encode_png(Image(3, 2, 3)));
  CHECK_FALSE(images.arrive(image));
  CHECK(images.waiting().size() == 1);
  CHECK_FALSE(images.due());
  write_file(depth, encode_png(Image(3, 2, 1)));
  const auto second = images.due();
  REQUIRE(second);
  CHECK(second->fault.empty());
  // The depth first: then there is nothing to wait for.
  write_file(depth, encode_png(Image(4, 2, 1)));
  CHECK_FALSE(images.arrive(depth));
  write_file(image, encode_png(Image(4, 2, 3)));
  CHECK(images.arrive(image));
  write_file(image, encode_png(Image(5, 2, 3)));
  CHECK_FALSE(images.arrive(image));
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  const auto late = images.due();
  REQUIRE(late);
  CHECK(one_line_with(late->fault, "part.png: its depth is that of the image before: "));
}

TEST_CASE("predict --watch --move-to with depth: nothing is left, and nothing is missed that was moved") {
  const TemporaryFolder folder;
  save_depth_model(folder);
  fs::create_directories(folder / "in");
  Child child(folder,
              fmt::format("predict {0}/model --watch {0}/in --move-to {0}/done", folder.path().string()));
  REQUIRE(wait_until([&] { return child.is_watching(); }));
  add_scene(folder / "made/a.png", folder / "made/a_depth.tiff");
  fs::rename(folder / "made/a.png", folder / "in/a.png");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  CHECK(child.out().empty());
  fs::rename(folder / "made/a_depth.tiff", folder / "in/a_depth.tiff");
  CHECK(wait_until([&] { return fs::exists(folder / "done/a.png"); }));
  CHECK(fs::exists(folder / "done/a_depth.tiff"));
  CHECK(fs::is_empty(folder / "in"));
  CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 0);
  CHECK(lines_of(child.out()) == 1);
  CHECK_MESSAGE(!contains(child.error(), "missing"), child.error());
}
