#include "dinomaly/data/file_hashes.h"

#include <fmt/format.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/base/sha256.h"

namespace dinomaly {

std::vector<std::string> hashes_of_files(const std::vector<Sample>& samples) {
  constexpr uint64_t largest_image = uint64_t{1} << 31;
  std::vector<std::string> hashes(samples.size());
  for_each_in_parallel(samples.size(), [&](size_t i) {
    hashes[i] = sha256_of(read_file(samples[i].image, largest_image));
    if (samples[i].strip) hashes[i] += fmt::format("[{}]", samples[i].strip->x);
    if (samples[i].depth) hashes[i] += sha256_of(read_file(*samples[i].depth, largest_image));
  });
  return hashes;
}

}  // namespace dinomaly
