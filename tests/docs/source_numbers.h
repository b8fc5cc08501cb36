// Numbers that a source keeps to itself, read from its text.
#pragma once

#include <string>
#include <vector>

namespace book {

std::string source(const std::string& path);
// The number that stands after `text`, found exactly once in the file at `path`; throws otherwise.
double number_after(const std::string& path, const std::string& text);
// The numbers of each call of `name`, in order.
std::vector<std::vector<double>> all_arguments(const std::string& path, const std::string& name);
// As the book writes it: 1e-9 is "$10^{-9}$", 0.03 is "$3 \cdot 10^{-2}$".
std::string power(double value);

}  // namespace book
