// JSON as text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace dinomaly {

// Names come from file systems and need not be UTF-8; invalid bytes become U+FFFD. indent -1: on one line.
std::string json_text(const nlohmann::json& value, int indent = -1);

// The text with its invalid bytes replaced in the same way.
std::string utf8(const std::string& text);

}  // namespace dinomaly
