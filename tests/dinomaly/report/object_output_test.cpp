// Verdicts on objects: score, decision, lines.
#include "dinomaly/report/object_output.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/report/prediction_output.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

// A map of 10 x 10 with so many pixels of 1.
Prediction with_marks(int64_t count) {
  Prediction prediction;
  prediction.blurred = Tensor::zeros({10, 10});
  std::fill_n(prediction.blurred.data<float>(), count, 1.0f);
  return prediction;
}

InputImage image_at(const char* path, const std::string& error = "") {
  InputImage image;
  image.path = path, image.error = error;
  return image;
}

}  // namespace

TEST_CASE("object judge: one folder is one object, in any order; its score is that of all maps together") {
  ObjectJudge judge(ObjectKind::views, 0.02, 0.6);
  judge.add(image_at("a/1.png"), with_marks(3));
  judge.add(image_at("b/1.png"), with_marks(1));
  judge.add(image_at("a/2.png"), with_marks(0));
  judge.add(image_at("b/2.png"), with_marks(1));
  judge.add(image_at("alone.png"), with_marks(2));
  const std::vector<ObjectVerdict> verdicts = judge.verdicts();
  REQUIRE(verdicts.size() == 3);
  CHECK(verdicts[0].name == ".");
  CHECK(verdicts[0].score == 1);
  CHECK(verdicts[1].name == "a");
  CHECK(verdicts[1].images == 2);
  CHECK(verdicts[1].score == 0.75);  // three of the four highest; the mean of both images' scores is 0.5
  CHECK(verdicts[1].anomalous);
  CHECK(verdicts[2].score == 0.5);
  CHECK_FALSE(verdicts[2].anomalous);
  CHECK(to_text(verdicts[1]) == "anomalous  0.750000  a  (object of 2 images)");
  CHECK(to_text(verdicts[0]) == "anomalous  1.000000  .  (object of 1 image)");
  CHECK(to_json(verdicts[2]).dump() ==
        R"({"anomalous":false,"images":2,"object":"b","score":0.5,"threshold":0.6})");
  CHECK(to_csv(verdicts[1]) == "a,,,0.75,0.6,true,,,,,,,,,,");
  const auto fields = [](const std::string& line) { return std::count(line.begin(), line.end(), ','); };
  CHECK(fields(to_csv(verdicts[1])) == fields(csv_header()));
}

TEST_CASE("object judge: without a threshold there is no decision, without one of its images no verdict") {
  ObjectJudge judge(ObjectKind::views, 0.02, std::nullopt);
  judge.add(image_at("a/1.png"), with_marks(4));
  judge.add(image_at("b/1.png"), with_marks(4));
  judge.add(image_at("b/2.png", "b/2.png: cut short"), {});
  const std::vector<ObjectVerdict> verdicts = judge.verdicts();
  CHECK(to_text(verdicts.at(0)) == "-          1.000000  a  (object of 1 image)");
  CHECK(to_json(verdicts[0])["anomalous"].is_null());
  CHECK(to_csv(verdicts[0]) == "a,,,1,,,,,,,,,,,,");
  CHECK(to_json(verdicts.at(1)).dump() == R"({"error":"b/2.png: cut short","object":"b"})");
  CHECK(to_csv(verdicts[1]) == "b,,,,,,,,,b/2.png: cut short,,,,,,");
  CHECK(contains(to_text(verdicts[1]), "an image of it was not judged"));
}

TEST_CASE("object judge: the scores of a pair add up, and its verdict comes with its second image") {
  ObjectJudge judge(ObjectKind::pairs, 0.02, 1.2);
  CHECK_FALSE(judge.add(image_at("Infrared/test/7.png"), with_marks(1)));
  CHECK_FALSE(judge.add(image_at("a.png"), with_marks(2)));
  const auto first = judge.add(image_at("RGB/test/7.jpg"), with_marks(2));
  REQUIRE(first);
  CHECK(first->name == "RGB/test/7");
  CHECK(first->images == 2);
  CHECK(first->score == 1.5);  // 0.5 and 1; of both maps together it would be 1
  CHECK(first->anomalous);
  const auto second = judge.add(image_at("a_infrared.png"), with_marks(0));
  REQUIRE(second);
  CHECK(second->score == 1);
  CHECK_FALSE(second->anomalous);
  CHECK(judge.verdicts().empty());
}

TEST_CASE("object judge: a second image of a sensor after the verdict is said once, not a second object") {
  ObjectJudge judge(ObjectKind::pairs, 0.02, 1.2);
  judge.add(image_at("a.png"), with_marks(1));
  CHECK(judge.add(image_at("a_infrared.png"), with_marks(1)).value().score == 1);
  const auto second = judge.add(image_at("a_infrared.tiff"), with_marks(1));
  REQUIRE(second);
  CHECK(second->repeated);
  CHECK(second->incomplete);
  CHECK(one_line_with(second->error, "a: a_infrared.png and a_infrared.tiff are both its infrared image"));
  CHECK(judge.verdicts().empty());
  judge.add(image_at("b_infrared.png"), with_marks(1));
  judge.add(image_at("b_infrared.tiff"), with_marks(1));
  REQUIRE(judge.verdicts().size() == 1);
  CHECK(
      contains(judge.verdicts()[0].error, "b_infrared.png and b_infrared.tiff are both its infrared image"));
  CHECK(contains(to_text(judge.verdicts()[0]), "b  (two images of one sensor)"));
}

TEST_CASE("object judge: a watched pair whose files are gone may come once more") {
  ObjectJudge judge(ObjectKind::pairs, 0.02, 1.2, true);
  for (const char* ending : {".png", ".tiff"}) {
    judge.add(image_at(fmt::format("a{}", ending).c_str()), with_marks(1));
    CHECK(judge.add(image_at(fmt::format("a_infrared{}", ending).c_str()), with_marks(1)).value().score == 1);
  }
}

TEST_CASE("object judge: ways to one file that differ in their dots are one") {
  ObjectJudge pairs(ObjectKind::pairs, 0.02, 1.2);
  pairs.add(image_at("in/../in/a.png"), with_marks(1));
  const std::string whole = (std::filesystem::current_path() / "in/a_infrared.png").string();
  CHECK(pairs.add(image_at(whole.c_str()), with_marks(1)));
  ObjectJudge views(ObjectKind::views, 0.02, 1.2);
  for (const char* path : {"in/a/1.png", "./in/a/2.png", "in/b/../a/3.png"})
    views.add(image_at(path), with_marks(1));
  REQUIRE(views.verdicts().size() == 1);
  CHECK(views.verdicts()[0].name == "in/a");
  CHECK(views.verdicts()[0].files.size() == 3);
}

TEST_CASE("object judge: a pair without one of its images, or with two of a sensor, has no verdict") {
  ObjectJudge judge(ObjectKind::pairs, 0.02, 1.2);
  judge.add(image_at("a.png"), with_marks(1));
  judge.add(image_at("b_infrared.png"), with_marks(1));
  judge.add(image_at("c.png"), with_marks(1));
  judge.add(image_at("c.png"), with_marks(2));  // written again
  CHECK(judge.add(image_at("c_infrared.png"), with_marks(0)).value().score == 1);
  judge.add(image_at("d.png", "d.png: cut short"), {});
  CHECK(judge.add(image_at("d_infrared.png"), with_marks(0)).value().error == "d.png: cut short");
  judge.add(image_at("e.png"), with_marks(1));
  judge.add(image_at("e.jpg"), with_marks(1));
  CHECK(judge.add(image_at("e_infrared.png"), with_marks(0)).value().error ==
        "e: e.png and e.jpg are both its RGB image");
  const std::vector<ObjectVerdict> verdicts = judge.verdicts();
  REQUIRE(verdicts.size() == 2);
  CHECK(verdicts[0].incomplete);
  CHECK(verdicts[0].error == "a: its infrared image is missing");
  CHECK(verdicts[1].error == "b: its RGB image is missing");
  CHECK(contains(to_text(verdicts[0]), "a  (an image of it is missing)"));
  CHECK(to_json(verdicts[0]).dump() == R"({"error":"a: its infrared image is missing","object":"a"})");
}

}  // namespace dinomaly
