#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "tests/dinomaly/data/layout_tree.h"

namespace dinomaly {

using nlohmann::json;

namespace {

json real_iad_entry(const std::string& label, const std::string& image, const json& mask) {
  return {{"category", "toy"}, {"anomaly_class", label}, {"image_path", image}, {"mask_path", mask}};
}

void real_iad(const Tree& tree, const json& test) {
  tree.add({"realiad_1024/toy/OK/S1/a.jpg", "realiad_1024/toy/OK/S2/a.jpg", "realiad_1024/toy/OK/S1/t.jpg",
            "realiad_1024/toy/NG/S1/d.jpg", "realiad_1024/toy/NG/S1/d.png"});
  const json document = {
      {"meta", {{"normal_class", "OK"}}},
      {"train", {real_iad_entry("OK", "OK/S1/a.jpg", nullptr), real_iad_entry("OK", "OK/S2/a.jpg", nullptr)}},
      {"test", test}};
  write_file(tree.root / "realiad_jsons/realiad_jsons/toy.json", document.dump());
}

}  // namespace

TEST_CASE("layout: Real-IAD; files of one name in two folders keep apart") {
  const Tree tree;
  real_iad(tree, {real_iad_entry("OK", "OK/S1/t.jpg", nullptr),
                  real_iad_entry("AK", "NG/S1/d.jpg", "NG/S1/d.png")});
  const Dataset dataset = read_dataset(tree.root);
  CHECK(dataset.layout == "Real-IAD");
  REQUIRE(dataset.categories.size() == 1);
  CHECK(summary(dataset.categories[0].test) == "AK/d+ good/t");
  REQUIRE(dataset.categories[0].train.size() == 2);
  CHECK(dataset.categories[0].train[0].id.ends_with("OK_S1_a"));
  CHECK(dataset.categories[0].train[1].id.ends_with("OK_S2_a"));
}

TEST_CASE(
    "layout: Real-IAD as published, with other lists beside those of the paper; a missing half is named") {
  for (const char* images : {"realiad_1024", "realiad_512", "realiad_256", "realiad_raw"}) {
    CAPTURE(images);
    const Tree tree;
    const std::string place = std::string(images) + "/toy/";
    tree.add({place + "OK/S0001/toy_0001_OK_C1_1.jpg", place + "OK/S0001/toy_0001_OK_C2_1.jpg",
              place + "NG/AK/S0002/toy_0002_NG_AK_C1_1.jpg", place + "NG/AK/S0002/toy_0002_NG_AK_C1_1.png"});
    CHECK(one_line_with(tree.error(), "realiad_jsons: no such folder"));
    const json train = real_iad_entry("OK", "OK/S0001/toy_0001_OK_C1_1.jpg", nullptr),
               test = real_iad_entry("AK", "NG/AK/S0002/toy_0002_NG_AK_C1_1.jpg",
                                     "NG/AK/S0002/toy_0002_NG_AK_C1_1.png");
    const json document{{"meta", {{"normal_class", "OK"}, {"prefix", "toy/"}}},
                        {"train", json::array({train})},
                        {"test", json::array({test})}};
    for (const char* lists : {"realiad_jsons", "realiad_jsons_sv", "realiad_jsons_fuiad_0.1"}) {
      const bool paper = std::string(lists) == "realiad_jsons";
      tree.add({fmt::format("realiad_jsons/{}/toy.json", lists)});
      write_file(tree.root / fmt::format("realiad_jsons/{}/toy.json", lists), paper ? document.dump() : "{}");
    }
    const Dataset dataset = read_dataset(tree.root);
    CHECK(dataset.layout == "Real-IAD");
    CHECK(summary(dataset.categories.at(0).test) == "AK/toy_0002_NG_AK_C1_1+");
    std::filesystem::remove_all(tree.root / images);
    CHECK(one_line_with(tree.error(), "no folder realiad_1024"));
  }
}

TEST_CASE("layout: hostile lists are one clear line") {
  const auto refused = [](const json& test, const std::string& part) {
    const Tree tree;
    real_iad(tree, test);
    CHECK(one_line_with(tree.error(), part));
  };
  refused(json::array({real_iad_entry("OK", "../../../etc/passwd", nullptr)}),
          "test[0]: '../../../etc/passwd' leads out");
  refused(json::array({real_iad_entry("OK", "/etc/passwd", nullptr)}), "leads out");
  refused(json::array({real_iad_entry("OK", "OK/none.jpg", nullptr)}), "no such file");
  refused(json::array({real_iad_entry("AK", "NG/S1/d.jpg", "")}), "mask_path: no path");
  refused(json::array({real_iad_entry("a/../b", "NG/S1/d.jpg", "NG/S1/d.png")}),
          "not a valid name for a defect");
  refused(json::array({1}), "not an object");
  refused(json::array({json::object()}), "anomaly_class");
  refused("text", "no list 'test'");
  const Tree tree;
  real_iad(tree, json::array());
  write_file(tree.root / "realiad_jsons/realiad_jsons/toy.json", "{");
  CHECK(one_line_with(tree.error(), "toy.json"));
}

}  // namespace dinomaly
