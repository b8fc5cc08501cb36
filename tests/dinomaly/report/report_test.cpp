// dinomaly report: the data behind the page, and the page in a browser.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "dinomaly/image/fingerprint.h"
#include "dinomaly/report/gallery.h"
#include "dinomaly/report/html_report.h"
#include "dinomaly/report/table.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/cli/train_command.h"

using namespace dinomaly;
using nlohmann::json;

TEST_CASE("base64: the vectors of RFC 4648") {
  CHECK(base64("").empty());
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64("\xff\xfe\xfd") == "//79");
}

TEST_CASE("loss curve: means of a long log; what is no log is refused") {
  const TemporaryFolder folder;
  std::string log = "iteration,loss,lr\n";
  for (int i = 0; i < 2500; ++i) log += fmt::format("{},{},0\n", i, 2 * i);
  write_file(folder / "log.csv", log);
  const Curve curve = read_loss_curve(folder / "log.csv");
  CHECK(curve.size() == 834);
  CHECK(curve[0].x == doctest::Approx(1));
  CHECK(curve[0].y == doctest::Approx(2));
  write_file(folder / "empty.csv", "iteration,loss\n");
  CHECK(read_loss_curve(folder / "empty.csv").empty());
  write_file(folder / "other.csv", "a,b\n1,2\n");
  CHECK(one_line_with(input_error([&] { read_loss_curve(folder / "other.csv"); }), "other.csv"));
  write_file(folder / "bad.csv", "iteration,loss\n1,abc\n");
  CHECK(one_line_with(input_error([&] { read_loss_curve(folder / "bad.csv"); }), "line 2"));
  write_file(folder / "short.csv", "iteration,loss\n1\n");
  CHECK(one_line_with(input_error([&] { read_loss_curve(folder / "short.csv"); }), "line 2"));
}

TEST_CASE("table: text, JSON and CSV of numbers that may not be defined") {
  MetricsTable table = official_table();
  add_row(table, "a,\"b\"", {0.5, 1});
  add_row(table, "c", {NAN, 0.5});
  CHECK(to_csv(table) == "category,aupro,image_auroc\n\"a,\"\"b\"\"\",0.5,1\nc,,0.5\nmean,,0.75\n");
  CHECK(to_json(table).at("categories").at("c").at("aupro").is_null());
  CHECK(to_json(table).at("mean").at("image_auroc") == 0.75);
  CHECK(to_text(table).find("0.7500") != std::string::npos);
}

TEST_CASE("report: names cannot break out of the page") {
  const std::string page = report_page({{"title", "</script><b>{{DATA}}"}});
  CHECK(page.find("</script><b>") == std::string::npos);
  CHECK(page.find("\\u003c/script>") != std::string::npos);
}

namespace {

json report_data_of(const TemporaryFolder& folder, int images = 0) {
  const std::string page = (folder / "used.html").string();
  const Outcome outcome = run_dinomaly(folder, fmt::format("report {0}/model {0}/data --images {1} --out {2}",
                                                           folder.path().string(), images, page));
  REQUIRE_MESSAGE(outcome.status == 0, outcome.error);
  const std::string text = read_file(page, 1 << 26);
  const size_t begin = text.find("id=\"data\">") + 10;
  return json::parse(text.substr(begin, text.find("</script>", begin) - begin));
}

// Puts what tells the images of the calibration into the model.
void store_images(const TemporaryFolder& folder, const std::vector<std::string>& images) {
  const SafeTensors file = SafeTensors::load(folder / "model");
  auto metadata = file.metadata();
  json calibration = json::parse(metadata.at("calibration"));
  calibration["images"] = images;
  metadata["calibration"] = calibration.dump();
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name).clone());
  save_safetensors(folder / "model", tensors, metadata);
}

// Of a data URI in base64.
Image image_of(const TemporaryFolder& folder, const std::string& uri) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (size_t i = uri.find(',') + 1; i < uri.size() && uri[i] != '='; ++i) {
    const std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bits = bits << 6 | static_cast<uint32_t>(letters.find(uri[i]));
    if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 255);
  }
  write_file(folder / "decoded", bytes);
  return load_image_rgb(folder / "decoded");
}

double mean_of(const Image& image, int64_t x, int64_t y, int64_t width, int64_t height) {
  double sum = 0;
  for (int64_t row = y; row < y + height; ++row)
    sum += std::accumulate(image.at(x, row), image.at(x, row) + width * image.channels, 0.0);
  return sum / static_cast<double>(width * height * image.channels);
}

// How many images of the page count as those the threshold was found on: good and anomalous ones.
std::pair<int, int> used_in(const json& data) {
  std::pair<int, int> used{0, 0};
  for (const json& sample : data.at("samples")) {
    if (sample.at("used") == true) ++(sample.at("bad") == true ? used.second : used.first);
  }
  return used;
}

}  // namespace

TEST_CASE("report: at its threshold no rate is measured on the images it was found on") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string calibrate = "calibrate " + (folder / "model").string() + " " +
                                (folder / "data").string() + " --false-alarm-rate 0.2 ";
  const auto measured = [](const json& data) {
    return data.at("threshold").at("measured").get<std::string>();
  };
  const json without = report_data_of(folder);
  CHECK(used_in(without) == std::pair(8, 10));  // the largest F1 on these
  CHECK(contains(measured(without), "chosen on these images"));
  CHECK(without.at("inspected") == "the whole image");

  REQUIRE(run_dinomaly(folder, calibrate).status == 0);
  CHECK(used_in(report_data_of(folder)) == std::pair(8, 0));
  CHECK(contains(measured(report_data_of(folder)), "found on 8 of these images"));
  // The same pixels in a file of other bytes; and by the hashes of files that an earlier version has stored.
  const std::filesystem::path good = folder / "data/wood/test/good/000.png";
  const std::string before = read_file(good, 1 << 24);
  store_images(folder, {file_fingerprint(good)});
  CHECK(used_in(report_data_of(folder)) == std::pair(1, 0));
  CHECK(contains(measured(report_data_of(folder)), "tells images by their files"));
  write_file(good, encode_png(load_image_rgb(good)) + "more");
  REQUIRE(read_file(good, 1 << 24) != before);
  CHECK(used_in(report_data_of(folder)) == std::pair(0, 0));
  REQUIRE(run_dinomaly(folder, calibrate + "--force").status == 0);
  write_file(good, before);
  CHECK(used_in(report_data_of(folder)) == std::pair(8, 0));
  CHECK_FALSE(contains(measured(report_data_of(folder)), "by their files"));
  REQUIRE(run_dinomaly(folder, calibrate + "--split train --force").status == 0);
  CHECK(used_in(report_data_of(folder)) == std::pair(0, 0));
  CHECK(contains(measured(report_data_of(folder)), "None of these images"));
  REQUIRE(run_dinomaly(folder, calibrate + "--method f1").status == 0);
  CHECK(used_in(report_data_of(folder)) == std::pair(8, 10));
}

TEST_CASE("report: one file without the network, used in a browser") {
  const TemporaryFolder folder;
  make_small_project(folder);
  write_file(folder / "log.csv", "iteration,loss\n0,1.5\n1,0.5\n");
  const std::string page = (folder / "report.html").string();
  const std::string model = (folder / "model").string(), data = (folder / "data").string();
  const Outcome outcome =
      run_dinomaly(folder, "report " + model + " " + data + " --log " + (folder / "log.csv").string() +
                               " --images 5 --out " + page);
  REQUIRE_MESSAGE(outcome.status == 0, outcome.error);
  const std::string text = read_file(page, 1 << 26);
  CHECK(text.find("http://") == text.find("http://www.w3.org/2000/svg"));
  CHECK(text.find("https://") == std::string::npos);
  const size_t begin = text.find("id=\"data\">") + 10;
  const json embedded = json::parse(text.substr(begin, text.find("</script>", begin) - begin));
  CHECK(embedded.at("samples").size() == 18);
  int64_t shown = 0;
  for (const json& sample : embedded.at("samples")) shown += sample.contains("image");
  CHECK(shown == 5);
  CHECK(embedded.at("loss").size() == 2);
  CHECK(embedded.at("scopes").size() == 2);
  CHECK(embedded.at("metrics").at("rows").size() == 3);
  for (const json& row : embedded.at("metrics").at("rows")) {
    for (size_t i = 0; i < row.at("values").size(); ++i) {
      if (row["values"][i].is_null()) continue;
      CHECK(row["interval"][0][i].get<double>() <= row["interval"][1][i].get<double>());
    }
  }
  CHECK(embedded.at("verdict").size() >= 3);
  CHECK(contains(embedded.at("about").dump(), data));
  CHECK(contains(text, "@media print"));

  if (std::system("command -v chromium >/dev/null 2>&1") != 0) {
    skip("no chromium: the report's page was not tried in a browser");
    return;
  }
  const std::string dom = (folder / "dom").string();
  const std::string command = "HOME=" + folder.path().string() +
                              " timeout 60 chromium --headless --no-sandbox --disable-gpu "
                              "--disable-dev-shm-usage --virtual-time-budget=5000 --dump-dom 'file://" +
                              page + "#selftest' >" + dom + " 2>/dev/null";
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string html = read_file(dom, 1 << 26);
  const size_t at = html.find("data-selftest=\"");
  REQUIRE(at != std::string::npos);
  CHECK_MESSAGE(html.compare(at, 22, "data-selftest=\"passed\"") == 0, html.substr(at, 300));
}

TEST_CASE("report: a region of interest is named, alone counts, and is seen in the overlays") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string(), data = (folder / "data").string();
  run_well(folder, "calibrate " + model + " " + data + " --false-alarm-rate 0.2 --roi 2,3,60,58");
  const json before = report_data_of(folder);
  CHECK(before.at("inspected") == "the whole image, of which 60 x 58 pixels at (2, 3) count");
  CHECK(contains(before.at("about").dump(), R"(["region of interest","60 x 58 pixels at (2, 3); outside)"));
  CHECK_FALSE(contains(before.at("about").dump(), "left out"));
  const json& values = before.at("metrics").at("rows").at(0).at("values");
  CHECK(values.at(0).is_number());
  CHECK(values.back().is_null());  // AUPRO

  // One defect more lies beside it.
  const auto place_of = [&](const json& sample) {
    return fmt::format("{}/{{}}/{}/{}",
                       before.at("scopes").at(sample.at("c").get<size_t>()).at("name").get<std::string>(),
                       sample.at("defect").get<std::string>(), sample.at("id").get<std::string>());
  };
  std::vector<std::string> places;
  size_t moved = 0;
  for (const json& sample : before.at("samples")) {
    if (sample.at("bad") == true) moved = places.size();
    places.push_back(place_of(sample));
  }
  Image mask(64, 64, 1);
  *mask.at(1, 30) = 255;
  save_png(folder / ("data/" + fmt::format(fmt::runtime(places[moved]), "ground_truth") + "_mask.png"), mask);
  places.erase(places.begin() + static_cast<std::ptrdiff_t>(moved));
  const json after = report_data_of(folder, 1);
  CHECK(contains(after.at("about").dump(), "; 1 image, whose defects all lie outside, is left out"));
  REQUIRE(after.at("samples").size() == places.size());
  bool seen = false;
  for (size_t i = 0; i < places.size(); ++i) {
    const json& sample = after.at("samples").at(i);
    CHECK(place_of(sample) == places[i]);
    if (!sample.contains("overlay")) continue;
    const std::string image =
        (folder / ("data/" + fmt::format(fmt::runtime(places[i]), "test") + ".png")).string();
    const json verdict = json::parse(run_well(folder, "predict --json " + model + " " + image).out);
    CHECK(sample.at("score").get<double>() ==
          doctest::Approx(verdict.at("score").get<double>()).epsilon(1e-5));
    const Image overlay = image_of(folder, sample.at("overlay")),
                shown = image_of(folder, sample.at("image"));
    CHECK(mean_of(overlay, 0, 0, shown.width, 2) < 0.65 * mean_of(shown, 0, 0, shown.width, 2));
    CHECK(mean_of(overlay, 8, 8, 40, 40) > 0.7 * mean_of(shown, 8, 8, 40, 40));
    seen = true;
  }
  CHECK(seen);
}
