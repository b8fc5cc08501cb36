#include "tests/docs/pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>

namespace book {

namespace fs = std::filesystem;

namespace {

const std::vector<std::string> folders = {"tensor",   "autograd", "nn",    "backends", "dinomaly",
                                          "bindings", "include",  "tests", "bench",    "examples",
                                          "scripts",  "cmake",    "docs",  ".ci"};

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

// Without the blanks and then the comment marks that all lines begin with.
std::string unindented(std::vector<std::string> lines) {
  for (const std::string prefix : {" ", "//", "#", " "}) {
    const auto starts = [&](const std::string& line) { return line.empty() || line.starts_with(prefix); };
    const auto is_empty = [](const std::string& line) { return line.empty(); };
    while (std::all_of(lines.begin(), lines.end(), starts) &&
           !std::all_of(lines.begin(), lines.end(), is_empty)) {
      for (std::string& line : lines) line.erase(0, line.empty() ? 0 : prefix.size());
    }
  }
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

void collect_snippets(const std::string& path, const std::string& text,
                      std::map<std::string, std::string>& snippets) {
  const std::regex marker(R"(\s*(?://|#) \[snippet: ([a-z_0-9]+)\])");
  std::vector<std::string> lines;
  std::string name;
  for (const std::string& line : lines_of(text)) {
    std::smatch found;
    if (std::regex_match(line, found, marker)) {
      name = found[1];
      lines.clear();
    } else if (!name.empty() && line.ends_with("[end]")) {
      snippets[path + " " + name] = unindented(lines);
      name.clear();
    } else {
      lines.push_back(line);
    }
  }
  if (!name.empty()) snippets[path + " " + name] = "(has no end)\n";
}

}  // namespace

Tree::Tree(const fs::path& root) : root(root) {
  const std::set<std::string> written = {"CHANGELOG.md", "docs/mutations.md", "bench/RESULTS.md",
                                         "bench/RESULTS_AMX.md", "bench/GROWTH.md"};
  const std::set<std::string> kinds = {".h",   ".cpp", ".cu",    ".cuh", ".py", ".sh",
                                       ".txt", ".in",  ".cmake", ".css", ".js", ".html"};
  const auto take = [&](const fs::path& path) {
    const std::string name = path.lexically_relative(root).string(), kind = path.extension().string();
    if (kind == ".md" && !written.contains(name)) pages[name] = text_of(path);
    if (!kinds.contains(kind) && kind != "" && kind != ".json") return;
    // What tries this check on falsified pages is no source of their names.
    if (name.starts_with("tests/docs/") && kind != ".sh" && kind != ".txt") return;
    if (name == "scripts/mutations.txt") return;
    sources[name] = text_of(path);
    collect_snippets(name, sources[name], snippets);
  };
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_regular_file()) take(entry.path());
  }
  for (const std::string& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (auto entry = fs::recursive_directory_iterator(root / folder); entry != fs::end(entry); ++entry) {
      const std::string name = entry->path().filename().string();
      if (entry->is_directory()) {  // an environment of bench/, what Python and the fuzzer leave
        if (name.starts_with('.') || name == "__pycache__" || name == "work" || name == "corpus")
          entry.disable_recursion_pending();
      } else if (entry->is_regular_file()) {
        take(entry->path());
      }
    }
  }
}

std::vector<Block> fenced_blocks(const std::string& page) {
  std::vector<Block> blocks;
  bool inside = false;
  std::string before;
  for (const std::string& line : lines_of(page)) {
    if (line.starts_with("```")) {
      if (!inside) blocks.push_back({trimmed(line.substr(3)), "", before});
      inside = !inside;
    } else if (inside) {
      blocks.back().text += line + "\n";
    } else if (!trimmed(line).empty()) {
      before = line;
    }
  }
  return blocks;
}

std::string prose(const std::string& page) {
  std::string text;
  bool inside = false;
  for (const std::string& line : lines_of(page)) {
    if (line.starts_with("```"))
      inside = !inside;
    else if (!inside)
      text += line + "\n";
  }
  return std::regex_replace(text, std::regex(R"(\s+)"), " ");
}

bool is_chapter(const std::string& path) {
  return std::regex_match(path, std::regex(R"(docs/\d\d_\w+\.md)"));
}

}  // namespace book
