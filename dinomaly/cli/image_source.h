// The images a command line names: files, folders, paths on standard input, a folder that is watched.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "dinomaly/inference/watch.h"

namespace dinomaly {

// The lines of standard input, as they come.
class InputLines {
 public:
  // Waits for the next line that is not empty; none at the end or once `stop` is requested. Throws InputError
  // for a line of more than 64 KiB.
  std::optional<std::string> next(std::stop_token stop);

 private:
  std::string buffer_;
  bool ended_ = false;
};

class ImageSource {
 public:
  // `inputs`: files, folders (with those below them) and "-"; `watched`: a folder or empty. Throws InputError
  // for a folder without images that is not the watched one, for "-" twice and where nothing is named at all.
  ImageSource(const std::vector<std::string>& inputs, const std::string& watched);

  // In the order of the command line, then what arrives in the watched folder; none after a StopSignal. One
  // thread may call it.
  std::optional<std::filesystem::path> next(std::stop_token stop);
  // How many images there will be; 0: unknown.
  int64_t total() const { return total_; }

 private:
  std::deque<std::string> inputs_;  // "-" stands for the lines of standard input
  int64_t total_ = 0;
  InputLines lines_;
  std::optional<FolderWatch> watch_;
};

// Names for the files written about images, which need not differ in name: relative to the folder they were
// found in, without extension, "-2", "-3", ... added to those that were taken.
class OutputNames {
 public:
  // `inputs` as above. Names of watched images are not remembered: a later one of the same name replaces
  // the earlier one's files.
  OutputNames(const std::vector<std::string>& inputs, const std::string& watched);
  std::filesystem::path operator()(const std::filesystem::path& image);

 private:
  std::vector<std::filesystem::path> folders_;
  std::filesystem::path watched_;
  std::map<std::filesystem::path, std::filesystem::path> taken_;  // name -> image
};

}  // namespace dinomaly
