// Encoders inside the files of training programs: dicts in dicts, several models, wrappers, chunks of blocks.
#include <doctest/doctest.h>

#include <fstream>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/weights/weights_file.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/torch_writer.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

using Named = std::map<std::string, Tensor>;

// Of width 4 with 2 blocks, a register, mask token and final norm.
Named small_encoder_tensors() {
  static const WeightsFile file = load_weights_file(std::filesystem::path(DINOMALY_SOURCE_DIR) /
                                                    "tests/dinomaly/weights/checkpoints/meta.pth");
  return file.tensors;
}

// As the teacher or student of DINOv2's training: chunks of blocks, and heads beside the backbone.
Named chunked(const std::string& prefix, float scale) {
  Named result{{prefix + "dino_head.last_layer.weight_g", Tensor::ones({3, 1})},
               {prefix + "ibot_head.mlp.0.weight", Tensor::ones({2, 4})}};
  for (const auto& [name, tensor] : small_encoder_tensors()) {
    std::string other = name;
    for (const char* block : {"0", "1"}) {
      const std::string start = std::string("blocks.") + block + ".";
      if (name.starts_with(start)) other = start + block + name.substr(start.size() - 1);
    }
    result[prefix + "backbone." + other] = tensor * scale;
  }
  return result;
}

std::string pickled_state(TorchWriter& writer, const Named& tensors) {
  std::vector<std::pair<std::string, std::string>> items;
  for (const auto& [name, tensor] : tensors) items.emplace_back(name, writer.tensor(tensor));
  return pickled_dict(items);
}

WeightsFile load_pickled(const TorchWriter& writer, const std::string& value) {
  const TemporaryFolder folder;
  std::ofstream(folder / "run.pth", std::ios::binary) << writer.file(value);
  return load_weights_file(folder / "run.pth");
}

EncoderWeights encoder_of(const Named& tensors) { return load_encoder(tensors, "file", 2); }

void check_is(const EncoderWeights& weights, float scale) {
  const Named meta = small_encoder_tensors();
  CHECK(weights.config.depth == 2);
  CHECK(weights.config.registers == 1);
  for (const auto& [name, tensor] : weights.tensors) {
    CAPTURE(name);
    CHECK(tensor.to_vector<float>() == (meta.at(name) * scale).to_vector<float>());
  }
}

Named renamed_all(const Named& tensors, const std::function<std::string(const std::string&)>& rename) {
  Named result;
  for (const auto& [name, tensor] : tensors) result[rename(name)] = tensor;
  return result;
}

}  // namespace

TEST_CASE("training checkpoints: DINOv2's teacher, its blocks in chunks and its heads beside it") {
  TorchWriter writer;
  const WeightsFile file =
      load_pickled(writer, pickled_dict({{"teacher", pickled_state(writer, chunked("", 2))}}));
  const EncoderWeights weights = load_encoder(file, 2);
  check_is(weights, 2);
  CHECK(weights.prefix == "teacher.backbone.");
  CHECK(weights.not_used == 5);  // two heads, mask token, final norm
  CHECK(describe_choice(weights, "run.pth") ==
        "run.pth: the encoder is what is under 'teacher.backbone.'; 5 other tensors are not used");
}

TEST_CASE(
    "training checkpoints: of teacher and student the teacher, of a model and its average the average") {
  const Named meta = small_encoder_tensors();
  for (const char* under : {"", "model."}) {  // flat, as in safetensors
    Named both = chunked(std::string(under) + "teacher.", 2);
    both.merge(chunked(std::string(under) + "student.", 3));
    const EncoderWeights weights = encoder_of(both);
    check_is(weights, 2);
    CHECK(describe_choice(weights, "file")
              .find(fmt::format("under '{0}teacher.backbone.', not '{0}student.backbone.'; ", under)) !=
          std::string::npos);
  }
  for (const char* average : {"teacher", "ema", "model_ema", "state_dict_ema", "ema_state_dict"}) {
    CAPTURE(average);
    TorchWriter writer;
    const std::string one = pickled_state(writer, renamed_all(meta, [](auto&n) { return "module." + n; })),
                      other = pickled_state(writer, renamed_all(meta, [](auto&n) { return n; }));
    TorchWriter pair;
    const std::string first = pickled_state(pair, meta);
    Named twice;
    for (const auto& [name, tensor] : meta) twice[name] = tensor * 2.0f;
    const std::string second = pickled_state(pair, twice);
    check_is(
        load_encoder(
            load_pickled(pair, pickled_dict({{"model", first}, {average, second}, {"epoch", "K\x03"}})), 2),
        2);
    // Alone, and inside a dict of its own.
    check_is(load_encoder(load_pickled(pair, pickled_dict({{average, first}})), 2), 1);
    check_is(
        load_encoder(load_pickled(pair, pickled_dict({{average, pickled_dict({{"module", first}})}})), 2), 1);
  }
}

TEST_CASE("training checkpoints: the state dict under the names that programs give it") {
  for (const char* name : {"state_dict", "model", "model_state_dict", "module", "network", "net"}) {
    CAPTURE(name);
    TorchWriter writer;
    const std::string state = pickled_state(writer, small_encoder_tensors());
    const WeightsFile file = load_pickled(
        writer, pickled_dict({{"iteration", "K\x03"}, {name, state}, {"optimizer", pickled_dict({})}}));
    CHECK(file.tensors.contains("cls_token"));  // a sole one: without its name
    check_is(load_encoder(file, 2), 1);
  }
  TorchWriter writer;
  const std::string state = pickled_state(writer, small_encoder_tensors());
  check_is(load_encoder(load_pickled(writer, pickled_dict({{"vit", state}, {"epoch", "K\x03"}})), 2), 1);
  const WeightsFile two = load_pickled(writer, pickled_dict({{"model", state}, {"state_dict", state}}));
  CHECK(one_line_with(input_error([&] { load_encoder(two, 2); }),
                      "2 encoders in it, under 'model.' and 'state_dict.'"));
}

TEST_CASE("training checkpoints: wrappers leave no trace in the names, wherever they stand") {
  const Named meta = small_encoder_tensors();
  const auto inside = [](const std::string& name, const std::string& wrapper) {
    const size_t block = name.find("blocks.");
    return block == std::string::npos ? name : name.substr(0, block + 9) + wrapper + name.substr(block + 9);
  };
  check_is(encoder_of(renamed_all(meta, [](auto& n) { return "module." + n; })), 1);
  check_is(encoder_of(renamed_all(meta, [](auto& n) { return "_orig_mod.module." + n; })), 1);
  check_is(encoder_of(renamed_all(meta, [&](auto& n) { return inside(n, "_checkpoint_wrapped_module."); })),
           1);
  check_is(encoder_of(renamed_all(
               chunked("student.module.", 1),
               [&](auto& n) { return inside(n, "_fsdp_wrapped_module._checkpoint_wrapped_module."); })),
           1);
  Named twice = meta;
  twice["module.cls_token"] = meta.at("cls_token");
  CHECK(one_line_with(input_error([&] { encoder_of(twice); }), "two tensors are named 'cls_token'"));
}

TEST_CASE("training checkpoints: what cannot be told apart, or is in pieces, is refused") {
  Named flat{{"teacher.backbone._flat_param", Tensor::ones({8})}};
  CHECK(one_line_with(input_error([&] { encoder_of(flat); }), "FSDP has flattened its parameters"));
  Named chunks = small_encoder_tensors();  // counted from 0 in each chunk: not as DINOv2 does
  for (const auto& [name, tensor] : small_encoder_tensors()) {
    if (!name.starts_with("blocks.")) continue;
    chunks.erase(name);
    chunks[name.substr(0, 9) + "0." + name.substr(9)] = tensor;
  }
  CHECK(
      one_line_with(input_error([&] { encoder_of(chunks); }),
                    "'blocks.0.0.attn.proj.bias' and 'blocks.1.0.attn.proj.bias' both stand for blocks.0."));
  TorchWriter writer;
  std::string deep = pickled_dict({});
  for (int i = 0; i < 20; ++i) deep = pickled_dict({{"model", deep}});
  CHECK(one_line_with(input_error([&] { load_pickled(writer, deep); }), "dicts inside each other"));
  // Thirty dicts, each holding the one before ten times under names that are looked into.
  std::string bomb = "}q" + std::string(1, '\0');
  for (char i = 0; i < 7; ++i) {
    bomb += "}(";
    for (int copy = 0; copy < 20; ++copy) bomb += pickled("model") + "h" + std::string(1, i);
    bomb += "uq" + std::string(1, static_cast<char>(i + 1));
  }
  CHECK(one_line_with(input_error([&] { load_pickled(writer, bomb); }), "entries in its dicts"));
}

TEST_CASE("training checkpoints: train, info and convert say whose weights they use") {
  const TemporaryFolder folder;
  Named both = chunked("teacher.", 2);
  both.merge(chunked("student.", 3));
  const std::string path = (folder / "run.safetensors").string();
  save_safetensors(path, {both.begin(), both.end()});
  const Outcome info = run_dinomaly(folder, "info " + path);
  CHECK_MESSAGE(info.out.find("under: teacher.backbone.") != std::string::npos, info.out, info.error);
  CHECK(info.out.find("student.backbone.") != std::string::npos);
  const Outcome convert =
      run_dinomaly(folder, "convert " + path + " " + (folder / "out.safetensors").string() + " --names meta");
  CHECK_MESSAGE(convert.out.find("under 'teacher.backbone.', not 'student.backbone.'") != std::string::npos,
                convert.out, convert.error);
  check_is(load_encoder(load_weights_file(folder / "out.safetensors"), 2), 2);
}
