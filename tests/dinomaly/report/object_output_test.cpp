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
  ObjectJudge judge(0.02, 0.6);
  judge.add(image_at("a/1.png"), with_marks(3));
  judge.add(image_at("b/1.png"), with_marks(1));
  judge.add(image_at("a/2.png"), with_marks(0));
  judge.add(image_at("b/2.png"), with_marks(1));
  judge.add(image_at("alone.png"), with_marks(2));
  const std::vector<ObjectVerdict> verdicts = judge.verdicts();
  REQUIRE(verdicts.size() == 3);
  CHECK(verdicts[0].folder == ".");
  CHECK(verdicts[0].score == 1);
  CHECK(verdicts[1].folder == "a");
  CHECK(verdicts[1].images == 2);
  CHECK(verdicts[1].score == 0.75);  // three of the four highest; the mean of both images' scores is 0.5
  CHECK(verdicts[1].anomalous);
  CHECK(verdicts[2].score == 0.5);
  CHECK_FALSE(verdicts[2].anomalous);
  CHECK(to_text(verdicts[1]) == "anomalous  0.750000  a  (object of 2 images)");
  CHECK(to_text(verdicts[0]) == "anomalous  1.000000  .  (object of 1 image)");
  CHECK(to_json(verdicts[2]).dump() ==
        R"({"anomalous":false,"images":2,"object":"b","score":0.5,"threshold":0.6})");
  CHECK(to_csv(verdicts[1]) == "a,,,0.75,0.6,true,,,,");
  const auto fields = [](const std::string& line) { return std::count(line.begin(), line.end(), ','); };
  CHECK(fields(to_csv(verdicts[1])) == fields(csv_header()));
}

TEST_CASE("object judge: without a threshold there is no decision, without one of its images no verdict") {
  ObjectJudge judge(0.02, std::nullopt);
  judge.add(image_at("a/1.png"), with_marks(4));
  judge.add(image_at("b/1.png"), with_marks(4));
  judge.add(image_at("b/2.png", "b/2.png: cut short"), {});
  const std::vector<ObjectVerdict> verdicts = judge.verdicts();
  CHECK(to_text(verdicts.at(0)) == "-          1.000000  a  (object of 1 image)");
  CHECK(to_json(verdicts[0])["anomalous"].is_null());
  CHECK(to_csv(verdicts[0]) == "a,,,1,,,,,,");
  CHECK(to_json(verdicts.at(1)).dump() == R"({"error":"b/2.png: cut short","object":"b"})");
  CHECK(to_csv(verdicts[1]) == "b,,,,,,,,,b/2.png: cut short");
  CHECK(contains(to_text(verdicts[1]), "an image of it was not judged"));
}

}  // namespace dinomaly
