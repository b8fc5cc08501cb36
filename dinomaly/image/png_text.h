// A line of text inside a PNG file.
#pragma once

#include <string>

namespace dinomaly {

// A tEXt chunk: `keyword` of 1 to 79 characters, `text`; both Latin-1.
std::string png_text_chunk(const std::string& keyword, const std::string& text);
// The PNG with that chunk right behind its header.
std::string with_png_text(std::string png, const std::string& keyword, const std::string& text);

}  // namespace dinomaly
