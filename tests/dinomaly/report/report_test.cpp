// dinomaly report: the data behind the page, and the page in a browser.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "dinomaly/evaluation/curves.h"
#include "dinomaly/evaluation/evaluate_official.h"
#include "dinomaly/evaluation/metrics.h"
#include "dinomaly/report/gallery.h"
#include "dinomaly/report/table.h"
#include "tests/dinomaly/cli/program.h"

using namespace dinomaly;
using nlohmann::json;

namespace {

double area(const Curve& curve) {
  double sum = 0;
  for (size_t i = 1; i < curve.size(); ++i)
    sum += (curve[i].x - curve[i - 1].x) * (curve[i].y + curve[i - 1].y) / 2;
  return sum;
}

}  // namespace

TEST_CASE("curves: their areas are the metrics") {
  Generator generator(8);
  const int64_t count = 12, side = 32;
  std::vector<float> maps = Tensor::uniform({count, side, side}, 0, 1, generator).to_vector<float>();
  std::vector<uint8_t> masks(maps.size(), 0);
  for (int64_t n = 0; n < count; n += 2) {
    for (int64_t y = 5; y < 12 + n; ++y)
      for (int64_t x = 3; x < 9; ++x) masks[static_cast<size_t>((n * side + y) * side + x)] = 1;
  }
  for (size_t i = 0; i < maps.size(); ++i) maps[i] = maps[i] / 2 + 0.3f * masks[i];
  CHECK(area(roc_curve(maps, masks)) == doctest::Approx(roc_auc(maps, masks)));
  PixelCounts counts(0, 0.8), half(0, 0.8);
  for (int64_t n = 0; n < count; ++n) {
    const size_t at = static_cast<size_t>(n * side * side), pixels = static_cast<size_t>(side * side);
    (n % 2 ? half : counts).add({maps.data() + at, pixels}, {masks.data() + at, pixels}, side, side);
  }
  counts.add(half);
  CHECK(area(counts.roc()) == doctest::Approx(roc_auc(maps, masks)).epsilon(1e-3));
  CHECK(area(counts.pro()) / 0.3 ==
        doctest::Approx(aupro_official(maps, masks, count, side, side)).epsilon(1e-3));
  CHECK(counts.pro().back().x == doctest::Approx(0.3));
  CHECK(area(counts.pr()) == doctest::Approx(average_precision(maps, masks)).epsilon(0.02));
  CHECK(area(thinned(counts.roc(), 200)) == doctest::Approx(area(counts.roc())).epsilon(1e-3));
  CHECK(thinned(counts.roc(), 200).size() <= 200);
  const std::vector<uint8_t> one_class(maps.size(), 0);
  CHECK(roc_curve(maps, one_class).empty());
  CHECK(pr_curve(maps, one_class).empty());
  CHECK(PixelCounts(0, 1).pro().empty());
  const Curve pr = pr_curve(std::vector<float>{3, 2, 2, 1}, std::vector<uint8_t>{1, 0, 1, 0});
  REQUIRE(pr.size() == 3);
  CHECK(pr[1].x == 1);
  CHECK(pr[1].y == doctest::Approx(2.0 / 3));
}

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
  CHECK(embedded.at("samples").size() == 14);
  int64_t shown = 0;
  for (const json& sample : embedded.at("samples")) shown += sample.contains("image");
  CHECK(shown == 5);
  CHECK(embedded.at("loss").size() == 2);
  CHECK(embedded.at("scopes").size() == 2);
  CHECK(embedded.at("metrics").at("rows").size() == 3);

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
