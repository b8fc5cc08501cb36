#include "tests/docs/facts.h"

#include <fmt/format.h>

#include <exception>
#include <regex>

#include "tests/docs/pages.h"

namespace book {

namespace {

const std::vector<Fact>& all_facts() {
  static const std::vector<Fact> facts = [] {
    std::vector<Fact> all = facts_of_the_framework();
    for (const std::vector<Fact>& more : {facts_of_the_detector(), given_numbers()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return facts;
}

}  // namespace

std::vector<std::string> number_faults(const std::string& path, const std::string& page) {
  if (!is_chapter(path)) return {};
  std::vector<Fact> facts;
  try {
    facts = all_facts();
  } catch (const std::exception& error) {  // a source that no longer has the number
    return {path + ": tests/docs cannot compute its numbers: " + error.what()};
  }
  std::vector<std::string> faults;
  const std::string text = std::regex_replace(prose(page), std::regex(R"(\]\([^)]*\))"), "]");
  std::string rest = text;
  for (const Fact& fact : facts) {
    if (path != "docs/" + fact.page + ".md") continue;
    const size_t at = text.find(fact.sentence);
    if (at == std::string::npos)
      faults.push_back(path + ": tests/docs computes what the page doesn't say: " + fact.sentence);
    else
      rest.replace(at, fact.sentence.size(), fact.sentence.size(), ' ');
  }
  const std::regex exempt(R"(`[^`]*`|[Cc]hapters? \d+|[Ss]teps? \d+( to \d+)?|# \d+\.|(^| )\d\. )");
  rest = std::regex_replace(rest, exempt, " ");
  const std::regex number(R"((^|[^A-Za-z0-9_^{\\.,-])(\d+([.,]\d+)*))");
  for (std::sregex_iterator match(rest.begin(), rest.end(), number), end; match != end; ++match) {
    const std::string found = (*match)[2];
    if (found == "0" || found == "1" || found == "2") continue;
    const size_t begin = static_cast<size_t>(std::max<std::ptrdiff_t>(match->position() - 40, 0));
    faults.push_back(fmt::format("{}: no fact of tests/docs has the number {} in \"{}\"", path, found,
                                 rest.substr(begin, 90)));
  }
  return faults;
}

}  // namespace book
