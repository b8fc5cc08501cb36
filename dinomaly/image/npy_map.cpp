#include "dinomaly/image/npy_map.h"

#include <bit>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_files.h"
#include "tensor/error.h"

namespace dinomaly {

std::string encode_npy_map(const Tensor& map) {
  static_assert(std::endian::native == std::endian::little, "the bytes are written as they lie in memory");
  check(map.rank() == 2 && map.dtype() == Dtype::f32, "npy map: a map of {} {}", map.shape(), map.dtype());
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
                                   map.size(0), map.size(1));
  // Magic, version, two bytes of length, and the header padded so that the data begin at a multiple of 64.
  constexpr size_t prefix = 10;
  header.append(64 - (prefix + header.size() + 1) % 64, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  const Tensor dense = map.contiguous();
  bytes.append(reinterpret_cast<const char*>(dense.data<float>()), dense.bytes());
  return bytes;
}

void save_npy_map(const std::filesystem::path& path, const Tensor& map) {
  check_result_place(path);
  write_file(path, encode_npy_map(map));
}

}  // namespace dinomaly
