// What tells the files of a sample from others of the same names.
#pragma once

#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// Of each sample the SHA-256 of its image's bytes, followed by the strip that is meant, if any, and by the SHA-256 of
// its depth, if any. Reads every file, on all threads. Throws InputError naming a file that cannot be read.
std::vector<std::string> hashes_of_files(const std::vector<Sample>& samples);

}  // namespace dinomaly
