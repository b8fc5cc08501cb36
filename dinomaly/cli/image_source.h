// The images a command line names: files, folders, paths on standard input, a folder that is watched.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "dinomaly/cli/images_with_depth.h"
#include "dinomaly/inference/watch.h"

namespace dinomaly {

// The lines of standard input, as they come; or its names that end in NUL (find -print0), where a NUL is among the
// first bytes that come.
class InputLines {
 public:
  // Waits for the next line that is not empty; none at the end or once `stop` is requested. Throws InputError
  // for a line of more than 64 KiB, and for a NUL after lines.
  std::optional<std::string> next(std::stop_token stop);

 private:
  std::optional<std::string> take();
  std::optional<char> end_;  // '\n' or '\0'; none: nothing has come
  std::string buffer_;
  bool ended_ = false;
};

class ImageSource {
 public:
  // `inputs`: files, folders (with those below and linked folders) and "-"; `watched`: a folder or empty. In folders, and
  // among what arrives, masks (is_mask_by_place()) are no images; images of formats that are not read are: reading
  // reports them. Throws InputError for a folder without images that is not the watched one, for "-" twice, where
  // nothing is named at all and, with a watched folder, for a name of nothing.
  ImageSource(const std::vector<std::string>& inputs, const std::string& watched);

  // Images come with their depth from now on, and what belongs to one is passed over (ImagesWithDepth). Throws
  // InputError where nothing else is named.
  void take_depth(std::chrono::milliseconds wait = depth_wait);

  // The model judges views that are cut out of wide pictures (MANTA): such a picture as a whole is an error.
  void expect_single_views() { single_views_ = true; }

  // In the order of the command line, then what arrives in the watched folder; none after a StopSignal. One
  // thread may call it. Throws InputError where standard input names nothing and no folder is watched.
  std::optional<Picture> next(std::stop_token stop);
  // How many images there will be; 0: unknown.
  int64_t total() const { return total_; }
  // The files of the named folders, and those that came into the watched one, that are no images: how many, and
  // a line of it with some names. To be called once next() has returned none.
  int64_t other_count() const;
  std::string others_text() const;
  // Files that came into the watched folder and were not whole, or not looked at, when next() returned none. To be
  // called before other_count().
  std::vector<std::filesystem::path> unfinished();
  // Links to folders in the watched one, which are not watched.
  std::vector<std::filesystem::path> unwatched_links() const {
    return watch_ ? watch_->links() : std::vector<std::filesystem::path>();
  }
  // How many results of this program were passed over that were named, as files or on standard input, or came into
  // the watched folder.
  int64_t own_results() const { return own_results_; }
  // What was passed over because it belongs to images, "3 depth files, 1 mask", or empty: masks in folders and,
  // of images with depth, all that ImagesWithDepth knows. To be called when next() has returned none.
  std::string companions() const;
  std::vector<std::filesystem::path> waiting() const {
    return with_depth_ ? with_depth_->waiting() : std::vector<std::filesystem::path>();
  }

 private:
  void add_folder(const std::string& input, const std::string& watched);
  std::optional<std::filesystem::path> next_named(std::stop_token stop);
  std::optional<Picture> next_arrived(std::stop_token stop);
  std::optional<Picture> picture_of(const std::filesystem::path& file);

  std::deque<std::string> inputs_;  // "-" stands for the lines of standard input
  std::vector<std::filesystem::path> others_;
  std::atomic<int64_t> masks_{0};  // passed over
  bool single_views_ = false;
  int64_t total_ = 0;
  std::atomic<int64_t> own_results_{0};
  bool any_line_ = false;  // of standard input
  InputLines lines_;
  std::optional<FolderWatch> watch_;
  std::optional<ImagesWithDepth> with_depth_;
};

// Names for the files written about images, which need not differ in name: relative to the folder they were
// found in, without extension, "-2", "-3", ... added to those that were taken.
class OutputNames {
 public:
  // `inputs` as above. Names of watched images are not remembered: a later one of the same name has the earlier one's.
  OutputNames(const std::vector<std::string>& inputs, const std::string& watched);
  std::filesystem::path operator()(const std::filesystem::path& image);
  // The image's own name, relative in the same way.
  std::filesystem::path relative(const std::filesystem::path& image) const;

 private:
  std::vector<std::filesystem::path> folders_;
  std::filesystem::path watched_;
  std::map<std::filesystem::path, std::filesystem::path> taken_;  // name -> image
};

}  // namespace dinomaly
