#include "dinomaly/image/result_mark.h"

#include <algorithm>
#include <fstream>
#include <system_error>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_format.h"
#include "dinomaly/image/png_text.h"
#include "dinomaly/image/tiff_file.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr size_t png_header = 8 + 25;  // signature and IHDR
// What npy_map.h writes has no place for a name, but nothing else has a reason to lie among images like this.
constexpr std::string_view npy_map_head("\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, ",
                                        51);
constexpr const char* folder_mark = ".dinomaly";

const std::string& mark_chunk() {
  static const std::string chunk = png_text_chunk("Software", result_mark);
  return chunk;
}

// A map has two axes; an array of more is somebody's image, if one that is not read.
bool is_npy_map(std::string_view head) {
  if (!head.starts_with(npy_map_head)) return false;
  const std::string_view shape = head.substr(npy_map_head.size(), head.find(')') - npy_map_head.size());
  return std::count(shape.begin(), shape.end(), ',') == 1 && !shape.ends_with(',');
}

bool is_marked_tiff(const std::filesystem::path& path) {
  const TiffFile::Handle file = TiffFile::open(path, "rm");
  const char* software = nullptr;
  return file != nullptr && TIFFGetField(file.get(), TIFFTAG_SOFTWARE, &software) == 1 &&
         software != nullptr && std::string_view(software) == result_mark;
}

}  // namespace

std::string with_result_mark(const std::string& png) { return with_png_text(png, "Software", result_mark); }

bool is_result(const std::filesystem::path& path, std::string_view head) {
  switch (format_of(head)) {
    case ImageFormat::png:
      return head.size() > png_header && head.substr(png_header).starts_with(mark_chunk());
    case ImageFormat::tiff:
      return is_marked_tiff(path);
    default:
      return is_npy_map(head);
  }
}

bool is_unused_folder(const std::filesystem::path& folder) {
  std::error_code error;
  return !std::filesystem::exists(folder, error) || std::filesystem::is_empty(folder, error);
}

void mark_result_folder(const std::filesystem::path& folder) {
  std::ofstream(folder / folder_mark) << "results of dinomaly\n";
}

bool is_result_folder(const std::filesystem::path& folder) {
  std::error_code error;
  return std::filesystem::exists(folder / folder_mark, error);
}

}  // namespace dinomaly
