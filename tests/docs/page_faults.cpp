// What one page says, checked against the tree: links and paths, blocks, names, calls, commands.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <regex>

#include "tests/docs/pages.h"

namespace book {

namespace fs = std::filesystem;

namespace {

// Names in backquotes that no source of the page holds.
const std::map<std::string, std::string> foreign = {
    {"dot", "a program of Graphviz"},
};

std::vector<std::string> all_matches(const std::string& text, const std::regex& pattern, int group = 1) {
  std::vector<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    found.push_back((*match)[group]);
  }
  return found;
}

bool is_word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Whether `word` stands in `text` with nothing before or after that could belong to it.
bool holds(const std::string& text, const std::string& word, bool dashes = false) {
  const auto belongs = [&](char c) { return is_word_character(c) || (dashes && c == '-'); };
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !belongs(text[at - 1])) && (end == text.size() || !belongs(text[end]))) return true;
  }
  return false;
}

// The arguments of each call or declaration of `name` in `text`: "(const Tensor& x, int n = 3)" is {"const Tensor& x",
// "int n = 3"}.
std::vector<std::vector<std::string>> calls_of(const std::string& text, const std::string& name) {
  std::vector<std::vector<std::string>> calls;
  for (size_t at = text.find(name + "("); at != std::string::npos; at = text.find(name + "(", at + 1)) {
    if (at > 0 && is_word_character(text[at - 1])) continue;
    std::vector<std::string> arguments(1);
    int depth = 1, angles = 0;
    for (size_t i = at + name.size() + 1; i < text.size() && depth > 0; ++i) {
      const char c = text[i];
      if (c == '<' && is_word_character(text[i - 1])) ++angles;  // of a template
      if (c == '>' && angles > 0 && text[i - 1] != '-') --angles;
      depth += (c == '(' || c == '{' || c == '[') - (c == ')' || c == '}' || c == ']');
      if (c == ',' && depth == 1 && angles == 0) {
        arguments.emplace_back();
      } else if (depth > 0 && !(std::isspace(static_cast<unsigned char>(c)) && arguments.back().empty())) {
        arguments.back() += std::isspace(static_cast<unsigned char>(c)) ? ' ' : c;
      }
    }
    if (arguments == std::vector<std::string>{""}) arguments.clear();
    calls.push_back(arguments);
  }
  return calls;
}

// Whether the argument of a page can stand for that of a source: the same text, or the name in a declaration.
bool same_argument(const std::string& page, const std::string& source) {
  const std::string declared = source.substr(0, source.find(" ="));
  return page == declared || (declared.ends_with(page) && declared.size() > page.size() &&
                              !is_word_character(declared[declared.size() - page.size() - 1]));
}

bool same_call(const std::vector<std::string>& page, const std::vector<std::string>& source) {
  if (page.size() > source.size()) return false;
  for (size_t i = 0; i < source.size(); ++i) {
    const bool given = i < page.size();
    if (given ? !same_argument(page[i], source[i]) : source[i].find(" =") == std::string::npos) return false;
  }
  return true;
}

class PageCheck {
 public:
  PageCheck(const Tree& tree, const std::string& path, const std::string& page)
      : tree_(tree), path_(path), folder_(fs::path(path).parent_path().string()), prose_(prose(page)) {
    spans_ = all_matches(prose_, std::regex("`([^`]+)`"));
    links();
    for (const std::string& span : spans_) check_path(span);
    if (!is_chapter(path)) add_near(folder_);
    for (const Block& block : fenced_blocks(page)) check_block(block);
    for (const std::string& span : spans_) check_span(span);
    if (is_chapter(path)) check_chapter();
  }

  std::vector<std::string> faults;

 private:
  template <class... Arguments>
  void fault(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    faults.push_back(path_ + ": " + fmt::format(format, std::forward<Arguments>(arguments)...));
  }

  // The path relative to the root of what the page calls `name`.
  std::optional<std::string> resolve(const std::string& name) const {
    for (const fs::path& base : {fs::path(folder_), fs::path()}) {
      const std::string path = (base / name).lexically_normal().string();
      if (!path.starts_with("..") && fs::exists(tree_.root / path)) return path;
    }
    return std::nullopt;
  }

  // Files that hold what the page speaks of: this one, or all of a folder, with the headers they belong to.
  void add_near(std::string path) {
    if (path.ends_with('/')) path.pop_back();
    const std::string stem = path.substr(0, path.rfind('.'));
    for (const auto& [name, text] : tree_.sources) {
      const bool twin = path != stem && (name == stem + ".h" || name == stem + ".cpp");
      if (name == path || twin || path.empty() || name.starts_with(path + "/")) near_.insert(name);
    }
  }

  void links() {
    for (const std::string& link : all_matches(prose_, std::regex(R"(\]\(([^)#]+))"))) {
      if (std::regex_search(link, std::regex("^[a-z]+:"))) continue;
      const auto path = resolve(link);
      if (!path) fault("links to {}, which does not exist", link);
      if (path && *path != "docs" && !path->ends_with(".md")) add_near(*path);
    }
  }

  static bool is_path(const std::string& span) {
    static const std::regex path(R"((\.\.?/)*[\w.-]+(/[\w.-]+)*/?)");
    static const std::regex ending(R"(\.(h|cpp|cu|cuh|py|sh|md|txt|cmake|json|safetensors|in)$)");
    return std::regex_match(span, path) &&
           (span.find('/') != std::string::npos || std::regex_search(span, ending));
  }

  void check_path(const std::string& span) {
    static const std::regex made(R"(^(\./)?build|NAME|TARGET|CASE)");  // by a build; any of several
    if (!is_path(span) || std::regex_search(span, made)) return;
    if (const auto path = resolve(span)) return add_near(*path);
    // A file of a folder below, or one whose link says where it is.
    const auto ends_so = [&](const std::string& name) {
      return ("/" + name).ends_with("/" + span) && (near_.contains(name) || name.starts_with(folder_));
    };
    const bool known = std::any_of(tree_.sources.begin(), tree_.sources.end(),
                                   [&](const auto& file) { return ends_so(file.first); });
    if (!known && span.find("results") == std::string::npos) fault("names {}, which does not exist", span);
  }

  void check_block(const Block& block) {
    if (block.info == "math" || block.info == "console") return;
    if (block.info == "sh") return check_commands(block.text);
    if (block.info == "cpp" && block.before.starts_with("In `")) return;  // apply_page.sh does this one
    const size_t blank = block.info.find(' ');
    const auto snippet = tree_.snippets.find(blank == std::string::npos ? "" : block.info.substr(blank + 1));
    if (snippet == tree_.snippets.end())
      fault(
          "a block begins with ```{}: neither sh, math nor \"LANGUAGE FILE SNIPPET\" of a snippet in the "
          "tree",
          block.info);
    else if (snippet->second != block.text)
      fault("the block is not the snippet {}, which reads\n{}", snippet->first, snippet->second);
  }

  bool anywhere_near(const std::string& word) const {
    return std::any_of(near_.begin(), near_.end(),
                       [&](const std::string& name) { return holds(tree_.sources.at(name), word); });
  }

  // A flag belongs to the program before it if that is ours, and to anything near otherwise.
  void check_flag(const std::string& flag, const std::string& folder) {
    const bool found = std::any_of(tree_.sources.begin(), tree_.sources.end(), [&](const auto& file) {
      return file.first.starts_with(folder) && holds(file.second, flag, true);
    });
    if (!found) fault("{} is no flag{}", flag, folder.empty() ? "" : " of " + folder);
  }

  // Where a program of ours reads its flags; nothing for programs of others, "" for one that does not exist.
  std::optional<std::string> program_folder(const std::string& command) const {
    const std::string name = fs::path(command).filename().string();
    if (const auto script = resolve(command); script && (name.ends_with(".sh") || name.ends_with(".py")))
      return script;
    const bool ours = command.starts_with("build/bin/") || command.starts_with("./scripts/");
    if (name == "dinomaly") return "dinomaly/";
    if (name == "test_NAME") return std::nullopt;
    if (name == "reference_check") return "tests/reference_check/";
    if (name == "bench_ops" ||
        (name.starts_with("test_") && fs::exists(tree_.root / "tests" / name.substr(5))))
      return std::nullopt;  // flags of Google Benchmark and doctest
    if (tree_.sources.contains("examples/" + name + ".cpp")) return "examples/";
    if (tree_.sources.contains("bench/" + name + ".cpp")) return "bench/";
    return ours ? std::optional<std::string>("") : std::nullopt;
  }

  void check_commands(const std::string& text) {
    static const std::regex part(R"(\S+)"), flag(R"(^(--[a-z][a-z-]*))");
    for (std::string command : all_matches(std::regex_replace(text, std::regex("(^|\\s)#[^\n]*"), ""),
                                           std::regex(R"(([^\n|;&]+))"))) {
      std::vector<std::string> words = all_matches(command, part, 0);
      while (!words.empty() && (words[0].find('=') != std::string::npos || words[0] == "python3" ||
                                words[0] == "do" || words[0] == "$" || words[0] == "exec"))
        words.erase(words.begin());
      for (size_t i = 0; i < words.size(); ++i) {
        if (words[i].starts_with("build/bin/") || i == 0) {  // also behind a program that runs it
          const auto folder = program_folder(words[i]);
          if (!folder) continue;
          if (folder->empty()) fault("{} does not exist", words[i]);
          for (size_t k = i + 1; k < words.size() && !folder->empty(); ++k) {
            std::smatch found;
            if (std::regex_search(words[k], found, flag)) check_flag(found[1], *folder);
          }
        }
      }
    }
  }

  static bool is_command(const std::string& span) {
    return std::regex_search(
        span,
        std::regex(
            R"(^(build/bin/|(\./)?scripts/|python3 |bench_\w+ |test_\w+ |dinomaly |reference_check ))"));
  }

  void check_span(const std::string& span) {
    static const std::regex flag(R"(^--[a-z][a-z-]*)"), word(R"([A-Za-z_]\w*)"), capitals("[A-Z]+");
    static const std::regex call(R"(^([\w:. ]*?)(\w+)\(([^(){}]*)\)$)");
    std::smatch found;
    if (is_command(span)) return check_commands(span);
    if (span.starts_with("cmake ") || span.starts_with("cpack ") || span.starts_with("-D") || is_path(span))
      return;
    if (std::regex_search(span, found, flag)) return check_flag(found[0], "");
    if (span.size() > 2 && span.front() == '"' && span.back() == '"') {
      const bool known = std::any_of(near_.begin(), near_.end(), [&](const std::string& name) {
        return tree_.sources.at(name).find("TEST_CASE(" + span) != std::string::npos;
      });
      if (!known) fault("no file that it links to has a test case {}", span);
      return;
    }
    for (const std::string& name : all_matches(span, word, 0)) {
      if (std::regex_match(name, capitals) || foreign.contains(name) || anywhere_near(name)) continue;
      fault("`{}`: {} is in no file that the page links to or names", span, name);
    }
    if (std::regex_match(span, found, call))
      check_call(span, found[2], calls_of(found[2].str() + "(" + found[3].str() + ")", found[2])[0]);
  }

  // A call is one of a source's, to the letter, or has the names of the parameters of a declaration.
  void check_call(const std::string& span, const std::string& name,
                  const std::vector<std::string>& arguments) {
    for (const std::string& file : near_) {
      for (const auto& source : calls_of(tree_.sources.at(file), name)) {
        if (arguments.empty() || same_call(arguments, source)) return;
      }
    }
    fault("`{}` is called or declared so in no file that the page links to or names", span);
  }

  void check_chapter() {
    const size_t end = prose_.find("Ends at: ");
    if (prose_.find("Try: ") == std::string::npos) fault("has nothing to try");
    if (end == std::string::npos || prose_.find("](../", end) == std::string::npos)
      fault("does not end at a file of the tree");
    for (const std::string& number : all_matches(prose_, std::regex(R"([Cc]hapters? (\d+))"))) {
      const std::string prefix = fmt::format("docs/{:0>2}_", number);
      const auto next = tree_.pages.lower_bound(prefix);
      if (next == tree_.pages.end() || !next->first.starts_with(prefix))
        fault("there is no chapter {}", number);
    }
  }

  const Tree& tree_;
  const std::string path_, folder_, prose_;
  std::vector<std::string> spans_;
  std::set<std::string>
      near_;  // the sources that it links to or names; those of its folder if it is no chapter
};

}  // namespace

std::vector<std::string> page_faults(const Tree& tree, const std::string& path, const std::string& page) {
  return PageCheck(tree, path, page).faults;
}

// Whether a folder's README has the file's name, with any ending, or a pattern for it: `NAME_test.cpp`.
static bool names(const std::string& readme, const std::string& file) {
  if (holds(readme, file.substr(0, file.find('.')))) return true;
  const std::vector<std::string> patterns = all_matches(readme, std::regex(R"(`(NAME[\w.]*)`)"));
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return file.ends_with(pattern.substr(4)); });
}

std::vector<std::string> tree_faults(const Tree& tree) {
  std::vector<std::string> faults;
  std::set<std::string> quoted;
  for (const auto& [path, page] : tree.pages) {
    for (const Block& block : fenced_blocks(page)) quoted.insert(block.info.substr(block.info.find(' ') + 1));
    if (path.starts_with("docs/") && path != "docs/README.md" &&
        tree.pages.at("docs/README.md").find("](" + path.substr(5) + ")") == std::string::npos)
      faults.push_back("docs/README.md does not list " + path);
  }
  for (const auto& [name, text] : tree.snippets) {
    if (!quoted.contains(name)) faults.push_back("no page quotes the snippet " + name);
  }
  for (const auto& [path, text] : tree.sources) {
    const fs::path file(path);
    const std::string folder = file.parent_path().string(), stem = file.stem().string();
    const auto readme = tree.pages.find(folder + "/README.md");
    if (folder.empty() || readme == tree.pages.end() || stem == "CMakeLists") continue;
    if (!names(readme->second, file.filename().string()))
      faults.push_back(readme->first + " does not name " + file.filename().string());
  }
  return faults;
}

}  // namespace book
