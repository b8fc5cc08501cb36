// write_fuzz_seeds DIR: the files every target begins with, in DIR/TARGET.
#include <filesystem>

#include "dinomaly/base/files.h"
#include "tests/fuzz/targets.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (const auto& target : dinomaly::fuzz::targets()) {
    for (const auto& [name, bytes] : dinomaly::fuzz::seeds_of(target.name)) {
      dinomaly::write_file(std::filesystem::path(argv[1]) / target.name / name, bytes);
    }
  }
}
