#include "dinomaly/image/npy_format.h"

#include <algorithm>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/image_format.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

constexpr std::string_view npy_magic = "\x93NUMPY";
constexpr size_t longest_shown = 60;  // of a header's value, in a message

// The text of the header, a dict as Python writes it.
std::string_view npy_dict(const ByteReader& file, size_t& end) {
  const uint8_t version = file.u8(npy_magic.size());
  check_input(version >= 1 && version <= 3, "{}: an array of NumPy's format {}, which is not known",
              file.name(), version);
  const size_t begin = version == 1 ? 10 : 12, length = version == 1 ? file.little16(8) : file.little32(8);
  end = begin + length;
  return file.text(begin, length);
}

// What stands behind a key.
std::string_view npy_value(const ByteReader& file, std::string_view dict, std::string_view key) {
  const size_t at = dict.find(key);
  check_input(at != std::string_view::npos, "{}: the array is damaged: no {} in its header", file.name(),
              key);
  dict.remove_prefix(at + key.size());
  dict.remove_prefix(std::min(dict.find_first_not_of(": "), dict.size()));
  return dict;
}

// The value that the text begins with, up to the comma or bracket behind it that is not within its own.
std::string_view one_value(std::string_view text) {
  const auto trimmed = [](std::string_view value) {
    return value.substr(0, value.find_last_not_of(' ') + 1);
  };
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\'') quoted = !quoted;
    if (quoted) continue;
    const bool closes = c == ']' || c == ')' || c == '}';
    if (depth == 0 && (c == ',' || closes)) return trimmed(text.substr(0, i));
    depth += (c == '[' || c == '(' || c == '{') - closes;
  }
  return trimmed(text);
}

// Numbers between parentheses, as "(4, 5, 3)"; those beyond 2^20 become that and one, which no image has.
std::vector<int64_t> npy_shape(const ByteReader& file, std::string_view text) {
  check_input(text.starts_with('(') && text.ends_with(')'),
              "{}: the array is damaged: its shape makes no sense", file.name());
  std::vector<int64_t> shape;
  bool in_number = false;
  for (const char c : text.substr(1, text.size() - 2)) {
    const bool digit = c >= '0' && c <= '9';
    check_input(digit || c == ',' || c == ' ', "{}: the array is damaged: its shape makes no sense",
                file.name());
    if (digit && !in_number) shape.push_back(0);
    if (digit) shape.back() = std::min<int64_t>(10 * shape.back() + c - '0', (1 << 20) + 1);
    in_number = digit;
  }
  return shape;
}

// One channel needs no axis, or has one in front; what the last axis can be is a number of channels.
std::vector<int64_t> as_channels_last(std::vector<int64_t> shape, int64_t channels) {
  if (shape.size() == 2) return {shape[0], shape[1], 1};
  if (shape.size() == 3 && shape[0] == 1 && shape[2] > channels) return {shape[1], shape[2], 1};
  return shape;
}

}  // namespace

bool is_npy(std::string_view bytes) { return bytes.starts_with(npy_magic); }

NpyHeader read_npy_header(const ByteReader& file) {
  NpyHeader header;
  const std::string_view dict = npy_dict(file, header.pixels);
  const std::string_view type = one_value(npy_value(file, dict, "'descr'"));
  const bool deep = type == "'<u2'" || type == "'>u2'";
  check_input(deep || type == "'|u1'",
              "{}: an array of {}; only those of uint8 and uint16 are read as images", file.name(),
              printable(type, longest_shown));
  header.bits = deep ? 16 : 8;
  header.swapped = type == "'>u2'";
  check_input(npy_value(file, dict, "'fortran_order'").starts_with("False"),
              "{}: an array in Fortran order; save numpy.ascontiguousarray() of it", file.name());
  const std::string_view text = one_value(npy_value(file, dict, "'shape'"));
  const std::vector<int64_t> axes = as_channels_last(npy_shape(file, text), most_channels);
  check_input(axes.size() == 3 && axes[2] >= 1 && axes[2] <= most_channels,
              "{}: an array of the shape {}; images are (height, width, channels) with 1 to {} channels, or "
              "(height, width)",
              file.name(), printable(text, longest_shown), most_channels);
  header.height = axes[0], header.width = axes[1], header.channels = axes[2];
  check_input(is_side(header.width) && is_side(header.height),
              "{}: an array of the shape {}; a side must be within 1..{}", file.name(),
              printable(text, longest_shown), largest_side);
  return header;
}

NpyLabels read_npy_labels(const ByteReader& file) {
  NpyLabels labels;
  const std::string_view dict = npy_dict(file, labels.begin),
                         type = one_value(npy_value(file, dict, "'descr'"));
  constexpr std::string_view kinds = "bui", sizes = "1248";  // bool and whole numbers, of so many bytes
  const bool known = type.size() > 4 && kinds.find(type[2]) != kinds.npos &&
                     sizes.find(type[3]) != sizes.npos && type[4] == '\'';
  check_input(known, "{}: an array of {}; a mask is one of bool or of whole numbers", file.name(),
              printable(type, longest_shown));
  labels.bytes = type[3] - '0';
  check_input(npy_value(file, dict, "'fortran_order'").starts_with("False"),
              "{}: an array in Fortran order; save numpy.ascontiguousarray() of it", file.name());
  const std::string_view text = one_value(npy_value(file, dict, "'shape'"));
  const std::vector<int64_t> shape = as_channels_last(npy_shape(file, text), 1);
  check_input(shape.size() == 3 && shape[2] == 1, "{}: an array of the shape {}; a mask is (height, width)",
              file.name(), printable(text, longest_shown));
  labels.height = shape[0], labels.width = shape[1];
  check_sides(file, labels.width, labels.height);
  file.need(labels.begin + static_cast<size_t>(labels.height * labels.width * labels.bytes));
  return labels;
}

bool is_npy_image(std::string_view head) {
  if (!is_npy(head)) return false;
  try {
    read_npy_header(ByteReader("", head));
    return true;
  } catch (const InputError&) {
    return false;
  }
}

}  // namespace dinomaly
