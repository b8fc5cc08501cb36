// Numbers as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dinomaly {

// A decimal number, as ".5", "5.", "+0.5" or "1e-1", perhaps between spaces. None for anything else: hexadecimal ones,
// NaN, infinity, and what a double cannot hold.
std::optional<double> parse_number(std::string_view text);

// What a text is for which parse_number() has none: "not a number", "not a finite number", "too small a number".
std::string why_no_number(const std::string& text);

// The digits of such a number that is whole: "16" of "16", "+16", "016", "16." and "1.6e1"; with a '-' before them
// where it is negative. None for others, and beyond 2^53 for those that are not written as digits alone.
std::optional<std::string> whole_number(std::string_view text);

// Numbers with commas between them: "0.5, .25, 1e-1". None where one of them is no number, or there is none at all.
std::optional<std::vector<double>> parse_numbers(std::string_view text);

// "1 image", "2 images", "0 images"; `many`: where that is not an s more.
std::string counted(int64_t count, const std::string& one, const std::string& many = "");

}  // namespace dinomaly
