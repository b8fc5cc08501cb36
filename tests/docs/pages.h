// Do the pages say what the sources say? The rules are in CONTRIBUTING.md, "Documents". All faults are lines that begin
// with the page's path.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace book {

// The texts of a source tree, by paths relative to its root.
struct Tree {
  explicit Tree(const std::filesystem::path& root);

  std::filesystem::path root;
  std::map<std::string, std::string> sources;  // programs, scripts, CMake's files
  std::map<std::string, std::string> pages;    // *.md but for those that programs write, and CHANGELOG.md
  // "FILE NAME" -> the lines between "[snippet: NAME]" and "[end]", indented and commented as little as possible.
  std::map<std::string, std::string> snippets;
};

struct Block {
  std::string info;    // what follows the fence, without it
  std::string text;    // the lines, each ended
  std::string before;  // the last line before the fence that is not empty
};
std::vector<Block> fenced_blocks(const std::string& page);
// The page without its blocks, blanks and line breaks being one blank each.
std::string prose(const std::string& page);
// `page` begins with docs/ and a digit.
bool is_chapter(const std::string& path);

// What the page says and the tree doesn't.
std::vector<std::string> page_faults(const Tree& tree, const std::string& path, const std::string& page);
// Snippets that no page quotes, pages that docs/README.md doesn't list, files that their folder's README doesn't name.
std::vector<std::string> tree_faults(const Tree& tree);

}  // namespace book
