// Sharded safetensors: an index and the files it names.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/weights/weights_file.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/support.h"

using namespace dinomaly;
using nlohmann::json;

namespace {

constexpr const char* index_name = "model.safetensors.index.json";

// An encoder in two shards with their index.
json write_shards(const TemporaryFolder& folder) {
  const WeightsFile whole = load_weights_file(std::filesystem::path(DINOMALY_SOURCE_DIR) /
                                              "tests/dinomaly/weights/checkpoints/meta.pth");
  NamedTensors parts[2];
  json map = json::object();
  for (const auto& [name, tensor] : whole.tensors) {
    const size_t part = parts[0].size() > parts[1].size();
    parts[part].emplace_back(name, tensor);
    map[name] = fmt::format("model-0000{}-of-00002.safetensors", part + 1);
  }
  for (size_t part : {0, 1}) {
    save_safetensors(folder / fmt::format("model-0000{}-of-00002.safetensors", part + 1), parts[part]);
  }
  const json index{{"metadata", {{"total_size", 1}}}, {"weight_map", map}};
  write_file(folder / index_name, index.dump());
  return index;
}

std::string error_with(const TemporaryFolder& folder, const std::string& text) {
  write_file(folder / index_name, text);
  return input_error([&] { load_weights_file(folder / index_name); });
}

}  // namespace

TEST_CASE("sharded safetensors: by their index or their folder they are one file") {
  const TemporaryFolder folder;
  write_shards(folder);
  const EncoderWeights whole = load_encoder(load_weights_file(std::filesystem::path(DINOMALY_SOURCE_DIR) /
                                                              "tests/dinomaly/weights/checkpoints/meta.pth"),
                                            2);
  for (const std::filesystem::path& path : {folder / index_name, folder.path()}) {
    const WeightsFile file = load_weights_file(path);
    CHECK(file.format == WeightsFile::Format::sharded_safetensors);
    const EncoderWeights weights = load_encoder(file, 2);
    REQUIRE(weights.tensors.size() == whole.tensors.size());
    for (size_t i = 0; i < whole.tensors.size(); ++i) {
      CHECK(weights.tensors[i].second.to_vector<float>() == whole.tensors[i].second.to_vector<float>());
    }
  }
  const Outcome info = run_dinomaly(folder, "info " + folder.path().string());
  CHECK_MESSAGE(info.out.find("format: sharded safetensors") != std::string::npos, info.out, info.error);
  std::filesystem::remove(folder / index_name);
  CHECK(one_line_with(input_error([&] { load_weights_file(folder.path()); }),
                      "neither model.safetensors.index.json nor model.safetensors"));
  std::filesystem::rename(folder / "model-00001-of-00002.safetensors", folder / "model.safetensors");
  CHECK(load_weights_file(folder.path()).format == WeightsFile::Format::safetensors);
}

TEST_CASE(
    "sharded safetensors: an index that does not fit its shards, or leaves its folder, is one clear line") {
  const TemporaryFolder folder;
  const json good = write_shards(folder);
  const auto with_shard = [&](const std::string& shard) {
    json changed = good;
    changed["weight_map"]["cls_token"] = shard;
    return error_with(folder, changed.dump());
  };
  const auto refused = [&](const std::string& message, const std::string& expected) {
    CHECK_MESSAGE(one_line_with(message, expected), message);
    CHECK(message.find(index_name) != std::string::npos);
  };
  for (const char* shard : {"../model-00001-of-00002.safetensors", "/etc/passwd", "..", "",
                            ".hidden.safetensors", "sub/model.safetensors", "a\\b.safetensors"}) {
    refused(with_shard(shard), "which is not the name of a file beside it");
  }
  refused(with_shard(std::string("a\0.safetensors", 14)), "which is not the name of a file beside it");
  refused(with_shard("model.bin"), "is not a safetensors file");
  refused(with_shard("absent.safetensors"),
          "the shard 'absent.safetensors' is missing ('cls_token' is in it)");
  const std::string own = good["weight_map"]["cls_token"];
  refused(with_shard(own == "model-00001-of-00002.safetensors" ? "model-00002-of-00002.safetensors"
                                                               : "model-00001-of-00002.safetensors"),
          "'cls_token' is in the shard");
  json more = good, less = good, none = good, wrong = good;
  more["weight_map"]["another"] = own;
  refused(error_with(folder, more.dump()), "'another' is not in its shard");
  less["weight_map"].erase("cls_token");
  refused(error_with(folder, less.dump()), "it does not name 'cls_token'");
  none["weight_map"] = json::object();
  refused(error_with(folder, none.dump()), "'weight_map' is empty");
  wrong["weight_map"]["cls_token"] = 3;
  refused(error_with(folder, wrong.dump()), "the shard of 'cls_token' is not a string");
  refused(error_with(folder, R"({"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}})"),
          "'a' appears twice");
  refused(error_with(folder, R"({"hidden_size": 768})"), "no 'weight_map' in it");
  refused(error_with(folder, "{"), "not JSON");
  refused(error_with(folder, "[]"), "no 'weight_map' in it");
  refused(error_with(folder, std::string(100'000, '[')), "nested too deeply");
}
