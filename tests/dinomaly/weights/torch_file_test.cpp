#include "dinomaly/weights/torch_file.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/weights/pickle.h"
#include "tensor/ops.h"
#include "tests/support.h"

using namespace dinomaly;
using namespace std::string_literals;

namespace {

namespace fs = std::filesystem;

fs::path checkpoint(const std::string& name) {
  return fs::path(DINOMALY_SOURCE_DIR) / "tests/dinomaly/weights/checkpoints" / name;
}

// What make_checkpoints.py puts into a tensor of that name.
std::vector<float> values_of(const std::string& name, int64_t count) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t step = (i * 7 + 3 * static_cast<int64_t>(name.size())) % 64;
    values.push_back(static_cast<float>(step) / 32 - 1);
  }
  return values;
}

void check_values(const std::string& name, const Tensor& tensor) {
  CAPTURE(name);
  CHECK(tensor.to_vector<float>() == values_of(name, tensor.numel()));
}

void check_encoder(const EncoderWeights& weights) {
  EncoderConfig expected;
  expected.width = 4, expected.heads = 2, expected.depth = 2, expected.patch = 2, expected.registers = 1;
  expected.grid_h = expected.grid_w = 2, expected.hidden = 16, expected.layer_scale = true;
  CHECK(weights.config == expected);
  CHECK(weights.tensors.size() == 33);
  CHECK(weights.unused.size() == 3);
  for (const auto& [name, tensor] : weights.tensors) check_values(name, tensor);
}

// Thousands of times: without the sync of write_file().
void overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Protocol 2 and the opcodes.
std::string program(const std::string& opcodes) { return std::string("\x80\x02").append(opcodes); }

void refuses(const std::string& name, const std::string& expected) {
  CAPTURE(name);
  const std::string message = input_error([&] { load_weights_file(checkpoint(name)); });
  CHECK_MESSAGE(one_line_with(message, expected), message);
  CHECK(message.find(name) != std::string::npos);
}

}  // namespace

TEST_CASE(
    "torch files: Meta's encoder as tensors, as parameters, as f16 and bf16 views of two storages, and in a "
    "zip64 archive") {
  for (const char* name : {"meta.pth", "parameters.pth", "views.pth", "zip64.pth"}) {
    CAPTURE(name);
    check_encoder(load_encoder(load_weights_file(checkpoint(name)), 2));
  }
  const WeightsFile views = load_weights_file(checkpoint("views.pth"));
  CHECK(views.dtypes.at("cls_token") == "F16");
  CHECK(views.dtypes.at("pos_embed") == "BF16");
  CHECK(views.tensors.at("cls_token").dtype() == Dtype::f32);
  CHECK(views.tensors.at("pos_embed").dtype() == Dtype::bf16);
}

TEST_CASE("torch files: whole tensors lie in the file's mapping") {
  const WeightsFile file = load_weights_file(checkpoint("meta.pth"));
  const auto a = file.tensors.at("cls_token"), b = file.tensors.at("blocks.1.mlp.fc2.weight");
  const auto distance = static_cast<std::byte*>(a.raw_data()) - static_cast<std::byte*>(b.raw_data());
  CHECK(static_cast<uint64_t>(std::abs(distance)) < fs::file_size(checkpoint("meta.pth")));
  a.fill(3);  // copy on write: the file stays as it is
  check_values("cls_token", load_weights_file(checkpoint("meta.pth")).tensors.at("cls_token"));
}

TEST_CASE("torch files: the authors' model.pth is a detector of the paper preset") {
  const Detector detector = load_detector(checkpoint("authors.pth"), std::nullopt, 2);
  CHECK(detector.kind == DetectorKind::authors);
  CHECK(detector.config().preset == Preset::paper);
  CHECK(detector.config().decoder_depth == 2);
  for (const auto& [name, parameter] : detector.model->named_trained_parameters()) {
    check_values(name, parameter.value());
  }
  CHECK(detector.model->encoder().config().registers == 1);
}

TEST_CASE("torch files: anomalib's checkpoints are detectors of its preset, with their hyper-parameters") {
  const Detector detector = load_detector(checkpoint("anomalib.ckpt"), std::nullopt, 2);
  CHECK(detector.kind == DetectorKind::anomalib);
  CHECK(detector.config().preset == Preset::anomalib);
  CHECK(detector.config().dropout == 0.4);
  CHECK(detector.config().remove_class_token);
  CHECK(detector.config().target_blocks == std::vector<int64_t>{0, 1});
  CHECK_FALSE(detector.model->encoder().config().cls_in_position_table);
  const Detector old = load_detector(checkpoint("anomalib_old.ckpt"), std::nullopt, 2);
  CHECK(old.kind == DetectorKind::anomalib);
  CHECK_FALSE(old.config().remove_class_token);
  CHECK(old.model->encoder().config().cls_in_position_table);
  for (const Detector* one : {&detector, &old}) {
    for (const auto& [name, parameter] : one->model->named_trained_parameters()) {
      check_values(name, parameter.value());
    }
  }
}

TEST_CASE("torch files: nothing in a pickle is run") {
  const fs::path trace = "/tmp/dinomaly-was-run";
  fs::remove(trace);
  const WeightsFile file = load_weights_file(checkpoint("calls_inside.pth"));
  REQUIRE(file.skipped.size() == 1);
  CHECK(file.skipped.at("extra") == "an object of posix.system");
  check_encoder(load_encoder(file, 2));
  refuses("calls.pth", "holds an object of posix.system, not a state dict");
  CHECK_FALSE(fs::exists(trace));
}

TEST_CASE("torch files: damaged and hostile ones are reported in one line") {
  refuses("legacy.pth", "its format before version 1.6");
  refuses("stride.pth", "reaches outside its storage of 8 elements");
  refuses("offset.pth", "reaches outside");
  refuses("negative.pth", "reaches outside");
  refuses("repeated.pth", "reaches outside");
  refuses("overflow.pth", "reaches outside");
  refuses("compressed.pth", "is compressed or encrypted");
  refuses("no_storage.pth", "no 'meta/data/3' in the archive");
  refuses("short_storage.pth", "has 8 bytes, not the");
  refuses("not_torch.pth", "it has no data.pkl");
}

TEST_CASE("torch files: cut short anywhere, or with any byte of its pickle or directory changed") {
  const TemporaryFolder folder;
  const std::string whole = read_file(checkpoint("meta.pth"), 1 << 20);
  const fs::path path = folder / "cut.pth";
  constexpr size_t directory_end = 22;  // minizip does without the last record
  for (size_t size = 0; size < whole.size() - directory_end; size += size < 64 ? 1 : 61) {
    CAPTURE(size);
    overwrite(path, whole.substr(0, size));
    CHECK(one_line_with(input_error([&] { load_weights_file(path); }), "cut.pth"));
  }
  // Whatever a changed byte does, it is either harmless or an InputError.
  int refused = 0;
  for (size_t at = 0; at < whole.size(); at += 7) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0xff);
    overwrite(path, changed);
    refused += !input_error([&] { load_encoder(load_weights_file(path), 2); }).empty();
  }
  CHECK(refused > 100);
}

TEST_CASE("pickles: cut short anywhere") {
  const std::string pickle =
      "\x80\x02}q\x00(X\x01\x00\x00\x00"
      "aK\x01X\x01\x00\x00\x00"
      "b]q\x01(G?\xf0\x00\x00\x00\x00\x00\x00NeU\x01x\x8a\x01\xffu."s;
  const Pickle whole = parse_pickle(pickle, "p");
  const PickleNode& root = whole.nodes[whole.root];
  REQUIRE(root.kind == PickleNode::Kind::dict);
  REQUIRE(root.items.size() == 6);
  CHECK(whole.nodes[root.items[0]].text == "a");
  CHECK(whole.nodes[root.items[1]].integer == 1);
  const PickleNode& list = whole.nodes[root.items[3]];
  REQUIRE(list.items.size() == 2);
  CHECK(whole.nodes[list.items[0]].real == 1.0);
  CHECK(whole.nodes[root.items[5]].integer == -1);
  for (size_t size = 0; size < pickle.size(); ++size) {
    CHECK(one_line_with(input_error([&] { parse_pickle(pickle.substr(0, size), "p"); }),
                        "p: not a PyTorch pickle"));
  }
}

TEST_CASE("pickles: wild programs end in an error or cost no more than their bytes") {
  const auto error = [](const std::string& bytes) {
    return input_error([&] { parse_pickle(program(bytes), "p"); });
  };
  CHECK(one_line_with(error("X\xff\xff\xff\x7f"
                            "a."),
                      "2147483647 bytes are announced"));
  CHECK(one_line_with(error(std::string("\x8d").append(8, '\xff')), "are announced"));
  CHECK(one_line_with(error("\x8b\xff\xff\xff\xff."), "are announced"));
  CHECK(one_line_with(error("h\x05."), "the memo has no entry"));
  CHECK(one_line_with(error("R."), "the stack is empty"));
  CHECK(one_line_with(error("t."), "there is no mark"));
  CHECK(one_line_with(error("(0."), "the stack is empty"));
  CHECK(one_line_with(error("K\x01K\x02"
                            "a."),
                      "not a container"));
  CHECK(one_line_with(error("\x82\x01."), "opcode 0x82"));
  CHECK(one_line_with(error("cos"), "cut short"));
  CHECK(one_line_with(error("K\x01K\x01\x93."), "without a name"));
  CHECK(one_line_with(error(std::string(17 << 20, ']')), "more than"));

  // A million lists inside each other, and thirty lists which each hold the one before ten times.
  const Pickle deep = parse_pickle(program(std::string(1000000, ']').append(999999, 'a').append(".")), "p");
  CHECK(deep.nodes.size() == 1000000);
  std::string bomb = "\x80\x02]q\0"s;
  for (char i = 0; i < 30; ++i) {
    bomb.append("](");
    for (int copy = 0; copy < 10; ++copy) bomb.append("h").push_back(i);
    bomb.append("eq").push_back(static_cast<char>(i + 1));
  }
  bomb.push_back('.');
  CHECK(parse_pickle(bomb, "p").nodes.size() == 31);
  // A list that holds itself.
  CHECK(parse_pickle(std::string("\x80\x02]q\x01h\x01"
                                 "a.",
                                 9),
                     "p")
            .nodes.size() == 1);
}
