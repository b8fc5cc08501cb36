#include "tests/docs/pages.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "tests/docs/facts.h"
#include "tests/support.h"

using namespace book;

namespace {

const Tree& tree() {
  static const Tree read(DINOMALY_SOURCE_DIR);
  return read;
}

// The faults of a page in which `from` reads `to`.
std::vector<std::string> faults_with(const std::string& path, const std::string& from,
                                     const std::string& to) {
  std::string page = tree().pages.at(path);
  const size_t at = page.find(from);
  INFO(path, ": ", from);
  REQUIRE(at != std::string::npos);
  page.replace(at, from.size(), to);
  std::vector<std::string> faults = page_faults(tree(), path, page);
  for (const std::string& fault : number_faults(path, page)) faults.push_back(fault);
  return faults;
}

std::vector<std::string> chapters() {
  std::vector<std::string> paths;
  for (const auto& [path, page] : tree().pages) {
    if (is_chapter(path)) paths.push_back(path);
  }
  return paths;
}

}  // namespace

TEST_CASE("pages say what the sources say") {
  for (const auto& [path, page] : tree().pages) {
    for (const std::string& fault : page_faults(tree(), path, page)) FAIL_CHECK(fault);
    for (const std::string& fault : number_faults(path, page)) FAIL_CHECK(fault);
  }
  for (const std::string& fault : tree_faults(tree())) FAIL_CHECK(fault);
  CHECK(tree().pages.size() > 70);
  CHECK(tree().sources.size() > 500);
  CHECK(chapters().size() >= 15);
}

TEST_CASE("a falsified chapter is found: another function, signature, test, file, flag") {
  const struct {
    std::string page, from, to;
  } lies[] = {
      {"docs/04_hooks.md", "e.register_hook", "e.retain_grad"},
      {"docs/04_hooks.md", "(const Tensor& gradient)", "(Tensor gradient)"},
      {"docs/04_hooks.md", "`finish()`", "`conclude()`"},
      {"docs/04_hooks.md", "`finish()`", "`matmul()`"},
      {"docs/04_hooks.md", "```cpp examples/02_autograd.cpp hook", "```cpp"},
      {"docs/04_hooks.md", "```cpp examples/02_autograd.cpp hook", "```cpp examples/02_autograd.cpp by_hand"},
      {"docs/04_hooks.md", "tests/autograd/hook_test.cpp", "tests/autograd/hooks_test.cpp"},
      {"docs/03_tape.md", "`record(name, value, inputs, backward)`",
       "`record(name, inputs, value, backward)`"},
      {"docs/03_tape.md", "`record(name, value, inputs, backward)`", "`record(name, value, backward)`"},
      {"docs/03_tape.md", "`record(name, value, inputs, backward)`",
       "`append(name, value, inputs, backward)`"},
      {"docs/03_tape.md", "(`VariableState`)", "(`HookHandle`, `PatchEmbedding`)"},
      {"docs/14_testing.md", "OpCase silu_case", "OpCase gelu_case"},
      {"docs/14_testing.md", "{{5, 9}}", "{{5, 8}}"},
      {"docs/14_testing.md", "`build/bin/test_ops`", "`build/bin/test_opps`"},
      {"docs/15_cuda.md", "`--deterministic`", "`--determined`"},
      {"docs/15_cuda.md", "train --device cuda --iterations 200", "train --device cuda --steps 200"},
      {"docs/15_cuda.md", "-tc='*CUDA*' #", "-tc='*CUDA*' && build/bin/test_cudas #"},
      {"docs/13_speed.md", "profiler.table()", "profiler.text()"},
      {"docs/13_speed.md", "`bench_dinomaly infer --profile`", "`bench_dinomaly infer --profiled`"},
      {"docs/09_dinomaly.md", "eight outputs", "nine outputs"},
      {"docs/10_loss.md", "(chapter 4)", "(chapter 44)"},
      {"docs/07_linear_attention.md", "`linear_attention_eps`", "`linear_attention_epsilon`"},
      {"docs/07_linear_attention.md", "Try: ", "Read: "},
      {"docs/07_linear_attention.md", "Ends at: ", "Ends in: "},
      {"docs/14_testing.md", "$3 \\cdot 10^{-2}$", "$4 \\cdot 10^{-2}$"},
      {"docs/14_testing.md", "| later steps' losses and gradient norms | $10^{-9}$ | $10^{-4}$",
       "| later steps' losses and gradient norms | $10^{-9}$ | $10^{-5}$"},
      {"docs/10_loss.md", "so k is 639", "so k is 640"},
      {"docs/11_optimizer.md", "0.002", "0.02"},
      {"docs/01_tensors.md", "has reached 256", "has reached 512"},
      {"README.md", "find_package(dinomaly 0.1 REQUIRED)", "find_package(dinomaly 0.1)"},
      {"README.md", "`--fail-on-anomaly`", "`--fail-on-anomalies`"},
      {"autograd/README.md", "`grad_mode.h`", "`gradient_mode.h`"},
  };
  for (const auto& lie : lies) {
    const std::vector<std::string> faults = faults_with(lie.page, lie.from, lie.to);
    CHECK_MESSAGE(!faults.empty(), lie.page, ": ", lie.from, " -> ", lie.to);
    for (const std::string& fault : faults) CHECK(fault.starts_with(lie.page));
  }
}

TEST_CASE("no name in backquotes and no word of a block of any chapter can be exchanged") {
  const std::regex name("`([A-Za-z_]\\w+)(\\([^`]*\\))?`");
  int64_t tried = 0;
  for (const std::string& path : chapters()) {
    const std::string& page = tree().pages.at(path);
    for (std::sregex_iterator match(page.begin(), page.end(), name), end; match != end; ++match) {
      // Neither a name that nothing has, nor one that belongs elsewhere: to the reader of PyTorch's files.
      for (const char* other : {"no_such_name", "PickleReader"}) {
        const std::string word = (*match)[1], whole = match->str();
        CHECK_MESSAGE(!faults_with(path, whole, "`" + (other + whole.substr(1 + word.size()))).empty(), path,
                      ": ", whole);
        ++tried;
      }
    }
    for (const Block& block : fenced_blocks(page)) {
      if (block.info == "math" || block.info == "sh") continue;
      const std::regex word("[A-Za-z_]\\w+");
      for (std::sregex_iterator match(block.text.begin(), block.text.end(), word), end; match != end;
           ++match) {
        std::string other = block.text;
        other.replace(static_cast<size_t>(match->position()), match->str().size(), "matmul");
        CHECK_MESSAGE(!faults_with(path, block.text, other).empty(), path, ": ", match->str());
        ++tried;
      }
    }
  }
  CHECK(tried > 100);
}

TEST_CASE("no number of a chapter's prose can be changed, and none added") {
  int64_t tried = 0;
  for (std::vector<Fact> facts : {facts_of_the_framework(), facts_of_the_detector(), given_numbers()}) {
    for (const Fact& fact : facts) {
      const std::string path = "docs/" + fact.page + ".md";
      const std::string page = prose(tree().pages.at(path));
      const std::regex digit("[0-9]");
      for (std::sregex_iterator match(fact.sentence.begin(), fact.sentence.end(), digit), end; match != end;
           ++match) {
        std::string other = fact.sentence;
        char& changed = other[static_cast<size_t>(match->position())];
        changed = changed == '9' ? '3' : static_cast<char>(changed + 1);
        const size_t at = page.find(fact.sentence);
        if (at == std::string::npos) continue;  // a link stands between
        std::string falsified = page;
        CHECK_MESSAGE(!number_faults(path, falsified.replace(at, other.size(), other)).empty(), path, ": ",
                      other);
        ++tried;
      }
    }
  }
  CHECK(tried > 300);
  const std::string& page = tree().pages.at("docs/04_hooks.md");
  CHECK(number_faults("docs/04_hooks.md", page).empty());
  CHECK(number_faults("docs/04_hooks.md", page + "\nIt takes 17 % longer (chapter 3).\n").size() == 1);
}

TEST_CASE("docs/add_an_op.md: an op with a kernel of its own takes the files of the table") {
  const std::string& page = tree().pages.at("docs/add_an_op.md");
  CHECK(page.find("touches six, five in a build without a GPU") != std::string::npos);
  const std::map<std::string, std::string> shared = {{"layer_norm", "backends/common/layer_norm.h"},
                                                     {"cosine_similarity", "backends/common/cosine.h"},
                                                     {"cross_entropy", ""}};
  for (const auto& [name, header] : shared) {
    CHECK_MESSAGE(page.find("`" + name + "`") != std::string::npos, name);
    std::set<std::string> expected, actual;
    for (std::string file : {"tensor/kernels.h", "backends/cpu/NAME.cpp", "backends/cuda/NAME.cu",
                             "autograd/ops/NAME.cpp", "autograd/ops/ops.h", "tests/ops/NAME_test.cpp"}) {
      CHECK_MESSAGE(page.find("`" + file + "`") != std::string::npos, file);
      const size_t at = file.find("NAME");
      expected.insert(at == std::string::npos ? file : file.replace(at, 4, name));
    }
    CHECK(expected.size() == 6);
    if (!header.empty()) expected.insert(header);
    // Whatever else in the framework had to know of it would name it, not only in a comment. Tests may use it elsewhere, too.
    const std::regex word("\\b" + name + "(_backward)?\\b"), comment("//[^\n]*");
    for (const auto& [file, source] : tree().sources) {
      const bool framework =
          file.starts_with("tensor/") || file.starts_with("autograd/") || file.starts_with("backends/");
      const std::string code = std::regex_replace(source, comment, "");
      if ((framework || expected.contains(file)) && std::regex_search(code, word)) actual.insert(file);
      // As does a header that only its two kernels include.
      if (!file.starts_with("backends/common/")) continue;
      std::set<std::string> users;
      for (const auto& [user, text] : tree().sources) {
        if (text.find("#include \"" + file + "\"") != std::string::npos) users.insert(user);
      }
      if (users == std::set<std::string>{"backends/cpu/" + name + ".cpp", "backends/cuda/" + name + ".cu"})
        actual.insert(file);
    }
    CHECK(actual == expected);
  }
}

TEST_CASE("a snippet that no page quotes is found, and a file that its README doesn't name") {
  const nabla::TemporaryFolder root;
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  };
  write("docs/README.md", "[1](01_one.md) `x.h`\n");
  write("docs/01_one.md", "```cpp nn/x.h one\nint x;\n```\n\n```cpp nn/x.h two\nint y;\n```\n");
  write("docs/more.md", "");
  write("nn/README.md", "`x.h`, `NAME_test.cpp`\n");
  write("nn/x.h", "  // [snippet: one]\n  int x;\n  // [end]\n// [snippet: two]\n// int y;\n// [end]\n");
  write("nn/one_test.cpp", "");
  const Tree small(root.path());
  CHECK(tree_faults(small) == std::vector<std::string>{"docs/README.md does not list docs/more.md"});
  CHECK(page_faults(small, "docs/02.md", small.pages.at("docs/01_one.md")).empty());
  write("nn/y.cpp", "# [snippet: three]\n");
  CHECK(tree_faults(Tree(root.path())) ==
        std::vector<std::string>{"docs/README.md does not list docs/more.md",
                                 "no page quotes the snippet nn/y.cpp three",
                                 "nn/README.md does not name y.cpp"});
}
