// JSON as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace dinomaly {

// Names come from file systems and need not be UTF-8; invalid bytes become U+FFFD. indent -1: on one line.
inline std::string json_text(const nlohmann::json& value, int indent = -1) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The text with its invalid bytes replaced in the same way.
inline std::string utf8(const std::string& text) {
  return nlohmann::json::parse(json_text(text)).get<std::string>();
}

}  // namespace dinomaly
