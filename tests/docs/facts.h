// The numbers of the book's chapters. Each stands in a sentence that is either computed from the code, or given with
// where it comes from.
#pragma once

#include <string>
#include <vector>

namespace book {

// A sentence, or a part of one, that a chapter must contain; blanks and line breaks are one blank.
struct Fact {
  std::string page;  // "10_loss"
  std::string sentence;
};
std::vector<Fact> facts_of_the_framework();  // chapters 1 to 8, 13 to 18; computed
std::vector<Fact> facts_of_the_detector();   // chapters 8 to 13; computed
// Measured on some machine, of a paper, or arithmetic that no code does.
std::vector<Fact> given_numbers();

// What the facts say and the chapter doesn't, and numbers in its prose that no fact has. Not asked for: 0, 1, 2;
// powers and indices of formulas; numbers of chapters, steps and list items; displayed formulas.
std::vector<std::string> number_faults(const std::string& path, const std::string& page);

}  // namespace book
