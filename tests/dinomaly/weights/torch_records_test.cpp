// What a torch zip says of itself and of its tensors, besides their data.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/weights/weights_file.h"
#include "tests/dinomaly/torch_writer.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

std::filesystem::path put(const TemporaryFolder& folder, const std::string& bytes) {
  std::ofstream(folder / "file.pth", std::ios::binary | std::ios::trunc) << bytes;
  return folder / "file.pth";
}

std::string error_of_bytes(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::filesystem::path path = put(folder, bytes);
  return input_error([&] { load_weights_file(path); });
}

WeightsFile read_bytes(const std::string& bytes) {
  const TemporaryFolder folder;
  return load_weights_file(put(folder, bytes));  // the mapping outlives the name
}

template <class T>
std::string big_endian(const std::vector<T>& values) {
  std::string bytes;
  for (const T& value : values) {
    std::string one(reinterpret_cast<const char*>(&value), sizeof value);
    std::reverse(one.begin(), one.end());
    bytes += one;
  }
  return bytes;
}

// A file of one tensor "x" and these records beside it.
std::string with_records(const ZipEntries& records) {
  TorchWriter writer;
  const std::string value = pickled_dict({{"x", writer.tensor(Tensor::ones({2}))}});
  writer.records = records;
  return writer.file(value);
}

std::vector<double> doubles(const WeightsFile& file, const std::string& name) {
  return file.tensors.at(name).to_vector<double>();
}

}  // namespace

TEST_CASE("torch records: a big-endian file holds the numbers that were saved") {
  TorchWriter writer;
  writer.records = {{"byteorder", "big"}, {"version", "3\n"}};
  const auto add = [&](const std::string& type, const std::string& bytes, int64_t count) {
    return pickled_call("_rebuild_tensor_v2",
                        TorchWriter::arguments(writer.storage(type, bytes, count), {count}));
  };
  const WeightsFile file = read_bytes(
      writer.file(pickled_dict({{"f32", add("FloatStorage", big_endian<float>({1.5f, -3}), 2)},
                                {"f64", add("DoubleStorage", big_endian<double>({0.1, 2}), 2)},
                                {"f16", add("HalfStorage", big_endian<uint16_t>({0x3c00, 0xc100}), 2)},
                                {"bf16", add("BFloat16Storage", big_endian<uint16_t>({0x3fc0, 0xc000}), 2)},
                                {"i64", add("LongStorage", big_endian<int64_t>({-2, 1 << 20}), 2)},
                                {"i32", add("IntStorage", big_endian<int32_t>({-2, 7}), 2)},
                                {"u8", add("ByteStorage", std::string("\x01\xff"), 2)}})));
  CHECK(doubles(file, "f32") == std::vector<double>{1.5, -3});
  CHECK(doubles(file, "f64") == std::vector<double>{0.1, 2});
  CHECK(doubles(file, "f16") == std::vector<double>{1, -2.5});
  CHECK(doubles(file, "bf16") == std::vector<double>{1.5, -2});
  CHECK(doubles(file, "i64") == std::vector<double>{-2, 1 << 20});
  CHECK(doubles(file, "i32") == std::vector<double>{-2, 7});
  CHECK(doubles(file, "u8") == std::vector<double>{1, 255});
}

TEST_CASE("torch records: those that are known are honoured, all others refused by name") {
  CHECK(error_of_bytes(with_records({})).empty());
  CHECK(error_of_bytes(with_records({{"byteorder", "little"},
                                     {"version", "3\n"},
                                     {".data/version", "10"},
                                     {".format_version", "2"},
                                     {".storage_alignment", "4096"},
                                     {".data/serialization_id", std::string(40, '7')},
                                     {"data/", ""}}))
            .empty());
  for (const auto& [record, text, expected] : std::vector<std::array<std::string, 3>>{
           {"byteorder", "middle", "'archive/byteorder' says 'middle', neither little nor big"},
           {"byteorder", "", "says '', neither"},
           {"byteorder", std::string(65, ' '), "has 65 bytes, more than 64"},
           {"version", "11", "'archive/version' says '11'; 1 to 10 is known"},
           {"version", "0", "says '0'"},
           {"version", "3 or so", "says '3 or so'"},
           {"version", "99999999999999999999999", "says '9"},
           {".data/version", "-1", "says '-1'"},
           {".format_version", "3", "'archive/.format_version' says '3'"},
           {".storage_alignment", "none", "'archive/.storage_alignment' says 'none'"},
           {"attributes.pkl", "", "'archive/attributes.pkl' is not an entry that torch.save() writes"},
           {".data/endianness", "big", "is not an entry that torch.save() writes"},
           {"constants.pkl", "", "a TorchScript program"},
           {"code/__torch__.py", "", "a TorchScript program"}}) {
    const std::string message = error_of_bytes(with_records({{record, text}}));
    CHECK_MESSAGE(one_line_with(message, expected), message);
    CHECK(message.find("file.pth: ") != std::string::npos);
  }
}

TEST_CASE("torch records: one archive under one name") {
  TorchWriter writer;
  const std::string pickle = "\x80\x02" + pickled_dict({}) + ".";
  CHECK(error_of_bytes(stored_zip({{"data.pkl", pickle}, {"version", "3"}})).empty());
  CHECK(error_of_bytes(stored_zip({{"my model/data.pkl", pickle}, {"my model/version", "3"}})).empty());
  CHECK(one_line_with(error_of_bytes(stored_zip({{"a/data.pkl", pickle}, {"b/data.pkl", pickle}})),
                      "2 archives in one: 'a/data.pkl' and 'b/data.pkl'"));
  CHECK(one_line_with(error_of_bytes(stored_zip({{"a/data.pkl", pickle}, {"b/byteorder", "big"}})),
                      "'b/byteorder' is not under 'a/' as the other entries are"));
  CHECK(one_line_with(error_of_bytes(stored_zip({{"a/data.pkl", pickle}, {"a/data.pkl", pickle}})),
                      "'a/data.pkl' appears twice"));
  CHECK(one_line_with(error_of_bytes(stored_zip({{"a/meta_data.pkl", pickle}})), "it has no data.pkl"));
}

TEST_CASE("torch tensors: kinds that are not read matter only where one is needed, and are named") {
  TorchWriter writer;
  const std::string storage = writer.storage("FloatStorage", std::string(16, '\0'), 4);
  std::vector<std::string> v3 = TorchWriter::arguments(storage, {4}), negated = v3, deep = v3;
  v3.push_back(pickled_global("torch", "float8_e4m3fn"));
  negated.push_back("}(" + pickled("neg") + "\x88u");
  deep[2] = pickled_tuple(std::vector<std::string>(9, pickled(1)));
  deep[3] = deep[2];
  const auto of_type = [&](const std::string& type) {
    return pickled_call("_rebuild_tensor_v2",
                        TorchWriter::arguments(writer.storage(type, std::string(8, '\0'), 1), {1}));
  };
  const auto parameter = [&](const std::string& inner) {
    return pickled_call("_rebuild_parameter",
                        {inner, "\x88", pickled_global("collections", "OrderedDict") + ")R"});
  };
  const std::vector<std::pair<std::string, std::string>> kinds{
      {"a quantized tensor", pickled_call("_rebuild_qtensor", v3)},
      {"a sparse tensor", pickled_call("_rebuild_sparse_tensor", {"N", "N"})},
      {"a tensor without data", pickled_call("_rebuild_meta_tensor_no_storage", {"N", "N", "N", "\x89"})},
      {"a tensor without data",
       pickled_call("_rebuild_tensor_v2",
                    TorchWriter::arguments(writer.storage("FloatStorage", "", 4, "meta"), {4}))},
      {"of dtype torch.float8_e4m3fn", pickled_call("_rebuild_tensor_v3", v3)},
      {"of dtype torch.float8_e4m3fn", parameter(pickled_call("_rebuild_tensor_v3", v3))},
      {"a tensor whose values are yet to be conjugated or negated",
       pickled_call("_rebuild_tensor_v2", negated)},
      {"a tensor of 9 axes", pickled_call("_rebuild_tensor_v2", deep)},
      {"of dtype C64", of_type("ComplexFloatStorage")},
      {"of dtype I16", of_type("ShortStorage")},
      {"of dtype torch.QInt8Storage", of_type("QInt8Storage")},
      {"an object of torch._utils._rebuild_from_the_future", pickled_call("_rebuild_from_the_future", {"N"})},
      {"a number", pickled(3)},
      {"a string", pickled("three")}};
  const std::string patches = writer.tensor(Tensor::ones({2, 3, 1, 1}));
  for (const auto& [what, value] : kinds) {
    CAPTURE(what);
    const WeightsFile unused =
        read_bytes(writer.file(pickled_dict({{"other", value}, {"patch_embed.proj.weight", patches}})));
    CHECK(unused.tensors.size() == 1);
    REQUIRE(unused.skipped.size() == 1);
    CHECK(unused.skipped.at("other").starts_with(what));
    const WeightsFile needed = read_bytes(writer.file(
        pickled_dict({{"e.blocks.0.norm1.bias", value}, {"e.patch_embed.proj.weight", patches}})));
    const std::string message = input_error([&] { load_encoder(needed, 1); });
    CHECK_MESSAGE(one_line_with(message, "blocks.0.norm1.bias is " + what), message);
  }
}

TEST_CASE("other formats are refused by their names") {
  std::string tar(512, '\0');
  tar.replace(0, 8, "sys_info").replace(257, 5, "ustar");
  const std::string legacy = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  for (const auto& [bytes, expected] : std::vector<std::pair<std::string, std::string>>{
           {"\x80\x02" + legacy + ".", "its format before version 1.6"},
           {"\x80\x04\x95\x0d" + std::string(7, '\0') + legacy + ".", "its format before version 1.6"},
           {tar, "its format before version 0.1.10"},
           {"\x80\x04" + pickled_dict({}) + ".....", "a pickle, but not one of torch.save()"},
           {"\x1f\x8b" + std::string(20, '\1'), "compressed by gzip"},
           {"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"},
           {"<!DOCTYPE html><html></html>", "a web page"},
           {std::string(20, 'x'), "neither a safetensors nor a PyTorch file"}}) {
    const std::string message = error_of_bytes(bytes);
    CHECK_MESSAGE(one_line_with(message, expected), message);
  }
}
