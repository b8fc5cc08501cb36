#include "tensor/io/safetensors.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <span>
#include <sstream>

#include "tests/support.h"
#include "tests/view_kinds.h"

namespace nabla {
namespace {

namespace fs = std::filesystem;

size_t count_files(const TemporaryFolder& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read_file(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// A file of this header, with its length in front, and these data bytes.
std::string raw_file(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + data;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::string message_of(const fs::path& path) {
  try {
    SafeTensors::load(path);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("safetensors: i8 is saved as I8, its negative numbers too") {
  const TemporaryFolder folder;
  const Tensor x = Tensor::from(std::vector<int8_t>{-128, -1, 0, 127}, {2, 2});
  save_safetensors(folder / "x.safetensors", {{"x", x}});
  CHECK(read_file(folder / "x.safetensors").find(R"("dtype":"I8")") != std::string::npos);
  CHECK(SafeTensors::load(folder / "x.safetensors").get("x").to_vector<int8_t>() == x.to_vector<int8_t>());
}

TEST_CASE("safetensors: views of every kind are saved as their elements") {
  const TemporaryFolder folder;
  const fs::path path = folder / "views.safetensors";
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f64, Dtype::i64, Dtype::u8, Dtype::i8}) {
    for (const Shape& shape : {Shape{2, 3, 4}, Shape{5}, Shape{}, Shape{0, 3}}) {
      const Tensor x = Tensor::arange(shape.numel(), dtype).reshape(shape);
      std::vector<std::pair<std::string, Tensor>> tensors;
      const auto add = [&](const Tensor& view) {
        tensors.emplace_back(fmt::format("view {}", tensors.size()), view);
      };
      for (const ViewKind& kind : views_of(x)) add(kind.view);
      for (const Tensor& view : expanded_views(x)) add(view);
      save_safetensors(path, tensors);
      const SafeTensors file = SafeTensors::load(path);
      for (const auto& [name, view] : tensors) {
        INFO(name, " of ", shape.to_string());
        CHECK(file.get(name).shape() == shape);
        CHECK(file.get(name).dtype() == dtype);
        CHECK(file.get(name).to_vector<double>() == view.to_vector<double>());
      }
    }
  }
}

TEST_CASE("safetensors: what is read stays what it was, whatever becomes of the file") {
  const TemporaryFolder folder;
  const fs::path path = folder / "read.safetensors";
  const Tensor saved = Tensor::arange(100000, Dtype::f32);
  save_safetensors(path, {{"x", saved}});
  const Tensor x = SafeTensors::read(path).get("x");
  write_file(path, "cut short");
  CHECK(x.to_vector<float>() == saved.to_vector<float>());
  x.storage()->evict();  // gives back the pages of mappings alone
  CHECK(x.to_vector<float>() == saved.to_vector<float>());
  CHECK_THROWS_AS(SafeTensors::read(path), InputError);
  write_file(path, "");
  CHECK_THROWS_AS(SafeTensors::read(path), InputError);
  CHECK_THROWS_AS(SafeTensors::read(folder / "none"), InputError);
}

TEST_CASE("safetensors: what is saved is loaded") {
  const TemporaryFolder folder;
  const fs::path path = folder / "all.safetensors";
  const Tensor matrix = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const std::vector<std::pair<std::string, Tensor>> tensors{
      {"bytes", Tensor::from<uint8_t>({1, 2, 255}, {3})},
      {"matrix", matrix},
      {"transposed", matrix.transpose(0, 1)},
      {"double", Tensor::from<double>({0.1, -1e300}, {2, 1})},
      {"bf16", Tensor::from<BFloat16>({1.5f, -2.0f}, {2})},
      {"i64", Tensor::from<int64_t>({-5}, {})},
      {"empty", Tensor::empty({0, 4})}};
  save_safetensors(path, tensors, {{"format", "pt"}, {"quote", "a \"b\"\n"}});
  CHECK(count_files(folder) == 1);

  const SafeTensors file = SafeTensors::load(path);
  CHECK(file.path() == path);
  CHECK(file.names() ==
        std::vector<std::string>{"bf16", "bytes", "double", "empty", "i64", "matrix", "transposed"});
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"quote", "a \"b\"\n"}});
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    REQUIRE(file.contains(name));
    CHECK(file.shape(name) == tensor.shape());
    const Tensor loaded = file.get(name);
    CHECK(loaded.dtype() == tensor.dtype());
    CHECK(loaded.to_vector<double>() == tensor.to_vector<double>());
    // No copy: both point into the mapping.
    CHECK(loaded.raw_data() == file.get(name).raw_data());
  }
  CHECK_FALSE(file.contains("other"));
  CHECK_THROWS_WITH_AS(file.get("other"), (path.string() + ": no tensor 'other'").c_str(), InputError);

  const fs::path again = folder / "again.safetensors";
  save_safetensors(again, tensors, {{"quote", "a \"b\"\n"}, {"format", "pt"}});
  CHECK(read_file(path) == read_file(again));
}

TEST_CASE("safetensors: the bytes of a file are read as the file is, and belong to its tensors") {
  const TemporaryFolder folder;
  save_safetensors(folder / "a", {{"x", Tensor::from(std::vector<float>{1, 2, 3}, {3})}}, {{"kind", "test"}});
  std::ifstream stream(folder / "a", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  const auto read = [&](size_t size) {
    return SafeTensors::from_bytes(std::as_bytes(std::span(bytes.data(), size)), "the bytes");
  };
  const SafeTensors file = read(bytes.size());
  CHECK(file.metadata().at("kind") == "test");
  Tensor x = file.get("x");
  std::fill(bytes.begin(), bytes.end(), '\0');
  CHECK(x.to_vector<float>() == std::vector<float>{1, 2, 3});
  x.fill(5);
  CHECK(file.get("x").to_vector<float>() == std::vector<float>{5, 5, 5});  // as of a mapped file
  for (const size_t size : {size_t{0}, size_t{7}, bytes.size() - 1})
    CHECK(input_error([&] { read(size); }).starts_with("the bytes: "));
}

TEST_CASE("safetensors: a tensor outlives its file object and its file's name, and may be written to") {
  const TemporaryFolder folder;
  const fs::path path = folder / "x.safetensors";
  save_safetensors(path, {{"x", Tensor::from<float>({1, 2, 3}, {3})}});
  const std::string before = read_file(path);
  const Tensor x = SafeTensors::load(path).get("x");
  x.data<float>()[0] = 7;
  CHECK(read_file(path) == before);
  fs::remove(path);
  CHECK(x.to_vector<float>() == std::vector<float>{7, 2, 3});
}

TEST_CASE("safetensors: converted dtypes and misaligned data") {
  const TemporaryFolder folder;
  const fs::path path = folder / "x.safetensors";
  const std::string header = R"({"b":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},)"
                             R"("f":{"dtype":"F32","shape":[2],"data_offsets":[3,11]},)"
                             R"("h":{"dtype":"F16","shape":[9],"data_offsets":[11,29]},)"
                             R"("i":{"dtype":"I32","shape":[2],"data_offsets":[29,37]},)"
                             R"("o":{"dtype":"I16","shape":[1],"data_offsets":[37,39]},)"
                             R"("r":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[39,40]}}   )";
  const std::vector<uint16_t> halves{0x0000, 0x8000, 0x3c00, 0xc100, 0x0001, 0x83ff, 0x7bff, 0x7c00, 0x7e00};
  write_file(path, raw_file(header, std::string("\1\0\1", 3) + bytes_of<float>({1.25f, -3}) +
                                        bytes_of(halves) + bytes_of<int32_t>({-1, 1 << 30}) + "xyz"));
  const SafeTensors file = SafeTensors::load(path);
  CHECK(file.get("b").dtype() == Dtype::u8);
  CHECK(file.get("b").to_vector<uint8_t>() == std::vector<uint8_t>{1, 0, 1});
  CHECK(file.get("f").to_vector<float>() == std::vector<float>{1.25f, -3});
  CHECK(file.get("i").dtype() == Dtype::i64);
  CHECK(file.get("i").to_vector<int64_t>() == std::vector<int64_t>{-1, 1 << 30});
  const std::vector<float> h = file.get("h").to_vector<float>();
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(std::vector<float>(h.begin(), h.end() - 1) ==
        std::vector<float>{0, -0.0f, 1, -2.5f, 0x1p-24f, -0x1.ff8p-15f, 65504, infinity});
  CHECK(std::signbit(h[1]));
  CHECK(std::isnan(h[8]));
  CHECK_THROWS_WITH_AS(file.get("o"), doctest::Contains("tensor 'o' is of dtype I16"), InputError);
  CHECK_THROWS_WITH_AS(file.get("r"), doctest::Contains("tensor 'r' has 9 axes"), InputError);
}

TEST_CASE("safetensors: a dtype that is not known matters only when its tensor is asked for") {
  const TemporaryFolder folder;
  const fs::path path = folder / "x.safetensors";
  for (const std::string dtype :
       {"F8_E4M3", "F8_E8M0", "F4", "F6_E2M3", "U16", "U64", "I16", "C64", "X9", "F\\n"}) {
    CAPTURE(dtype);
    const uint64_t bytes = dtype == "U64" || dtype == "C64" ? 16 : dtype == "U16" || dtype == "I16" ? 4 : 2;
    const std::string header = fmt::format(
        R"({{"a":{{"dtype":"{}","shape":[2],"data_offsets":[0,{}]}},"b":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}}})",
        dtype, bytes, bytes, bytes + 4);
    write_file(path, raw_file(header, std::string(bytes, '\1') + bytes_of<float>({2.5f})));
    const SafeTensors file = SafeTensors::load(path);
    CHECK(file.get("b").to_vector<float>() == std::vector<float>{2.5f});
    CHECK(file.why_unreadable("b").empty());
    const std::string shown = dtype == "F\\n" ? "F?" : dtype;
    CHECK(file.why_unreadable("a") == "of dtype " + shown);
    CHECK_THROWS_WITH_AS(file.get("a"), doctest::Contains(("tensor 'a' is of dtype " + shown + ",").c_str()),
                         InputError);
  }
}

TEST_CASE("safetensors: a hostile file is one clear line") {
  const TemporaryFolder folder;
  const fs::path path = folder / "bad.safetensors";
  const auto entry = [](const std::string& shape, const std::string& offsets,
                        const std::string& dtype = "U8") {
    return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const std::string good = entry("[4]", "[0,4]"), deep(100'000, '[');
  const auto one = [&](const std::string& value) { return raw_file("{\"a\":" + value + "}", "1234"); };
  std::string huge_length(8, '\xff'), beyond = raw_file("{}");
  beyond[0] = 3;
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "too short"},
      {"1234567", "too short"},
      {huge_length, "too long"},
      {beyond, "beyond the end"},
      {raw_file(""), "not JSON"},
      {raw_file("{"), "not JSON"},
      {raw_file("{} x"), "not JSON"},
      {raw_file("{\"\xff\":1}"), "not JSON"},
      {raw_file(std::string("{}\0 ", 4)), "zero byte"},
      {raw_file("[]"), "not a JSON object"},
      {raw_file("7"), "not a JSON object"},
      {raw_file(deep), "not a JSON object"},
      {raw_file("{\"a\":" + deep), "nested too deeply"},
      {raw_file("{\"__metadata__\":{\"a\":" + deep), "nested too deeply"},
      {raw_file("{\"__metadata__\":3}"), "__metadata__ is not an object"},
      {raw_file("{\"__metadata__\":{\"a\":3}}"), "__metadata__: 'a' is not a string"},
      {one("3"), "'a': expected an object"},
      {one("{}"), "'a': expected an object"},
      {one(R"({"dtype":"U8","shape":[4],"offsets":[0,4]})"), "no list 'data_offsets'"},
      {one(R"({"dtype":8,"shape":[4],"data_offsets":[0,4]})"), "no string 'dtype'"},
      {one(R"({"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]})"), "'shape' is given twice"},
      {one(entry("[4]", "[0,4]", "")), "its dtype is empty"},
      {one(entry("[4]", "[0,5]", "X9")), "do not lie within"},
      {one(entry("[4294967296,4294967297]", "[0,4]", "X9")), "too large"},
      {one(entry("4", "[0,4]")), "no list 'shape'"},
      {one(entry("[-4]", "[0,4]")), "whole numbers"},
      {one(entry("[4.0]", "[0,4]")), "whole numbers"},
      {one(entry("[1e400]", "[0,4]")), "not as the safetensors format has it"},
      {one(entry("[9223372036854775808]", "[0,4]")), "whole numbers"},
      {one(entry("[4294967296,4294967297]", "[0,4]")), "too large"},
      {one(entry("[9223372036854775807]", "[0,4]", "F32")), "too large"},
      {one(entry("[0,4611686018427387904,8]", "[0,0]")), "too large"},
      {one(entry("[5]", "[0,4]")), "do not fit dtype U8 and shape (5)"},
      {one(entry("[1]", "[0,4]", "F64")), "do not fit"},
      {one(entry("[4]", "[4,0]")), "do not lie within"},
      {one(entry("[4]", "[1,5]")), "do not lie within"},
      {one(entry("[4]", "[0,18446744073709551615]")), "whole numbers"},
      {one(entry("[4]", "[0]")), "[begin, end]"},
      {one(entry("[1" + std::string(70, ' ') + ",1]", "[0,4]")), "do not fit"},
      {raw_file("{\"a\":" +
                entry(
                    "[0" +
                        [] {
                          std::string zeros;
                          for (int i = 0; i < 100; ++i) zeros += ",0";
                          return zeros;
                        }() +
                        "]",
                    "[0,0]") +
                "}"),
       "entry is too long"},
      {raw_file("{\"a\":" + good + ",\"b\":" + entry("[4]", "[2,6]") + "}", "123456"), "overlaps"},
      {raw_file("{\"a\":" + good + ",\"b\":" + entry("[1]", "[5,6]") + "}", "123456"), "belong to none"},
      {raw_file("{\"a\":" + good + ",\"a\":" + entry("[2]", "[4,6]") + "}", "123456"), "'a' appears twice"},
      {raw_file("{\"a\":" + good + "}", "123456"), "2 bytes after the last tensor"},
  };
  for (const auto& [bytes, expected] : cases) {
    CAPTURE(expected);
    write_file(path, bytes);
    const std::string message = message_of(path);
    CHECK_MESSAGE(message.find(expected) != std::string::npos, message);
    CHECK(message.starts_with(path.string() + ": "));
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.size() < 500);
  }
  CHECK(message_of(folder / "absent").find("No such file") != std::string::npos);
  CHECK(message_of(folder.path()).find("not a regular file") != std::string::npos);
  write_file(path, one(good));
  CHECK(message_of(path) == "no error");
}

TEST_CASE("safetensors: every cut of a good file is an error") {
  const TemporaryFolder folder;
  const fs::path path = folder / "x.safetensors";
  save_safetensors(path, {{"x", Tensor::from<float>({1, 2}, {2})}, {"y", Tensor::from<uint8_t>({3}, {1})}});
  const std::string bytes = read_file(path);
  for (size_t length = 0; length < bytes.size(); ++length) {
    write_file(path, bytes.substr(0, length));
    CHECK_MESSAGE(message_of(path) != "no error", length);
  }
}

TEST_CASE("safetensors: a save that fails leaves what was there") {
  const TemporaryFolder folder;
  const fs::path path = folder / "x.safetensors";
  const Tensor x = Tensor::from<float>({1}, {1});
  save_safetensors(path, {{"x", x}});
  const std::string before = read_file(path);
  CHECK_THROWS_AS(save_safetensors(path, {{"x", x}, {"y", Tensor()}}), Error);
  CHECK_THROWS_AS(save_safetensors(path, {{"x", x}, {"x", x}}), Error);
  CHECK_THROWS_AS(save_safetensors(path, {{"__metadata__", x}}), Error);
  CHECK_THROWS_AS(save_safetensors(path, {{"\xff", x}}), Error);
  CHECK(read_file(path) == before);
  CHECK_THROWS_AS(save_safetensors(folder / "none" / "x", {{"x", x}}), InputError);
  fs::create_directory(folder / "folder");
  CHECK_THROWS_WITH_AS(save_safetensors(folder / "folder", {{"x", x}}),
                       doctest::Contains("cannot be written"), InputError);
  CHECK(count_files(folder) == 2);
}

}  // namespace
}  // namespace nabla
