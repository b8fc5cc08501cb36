// JSON as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace dinomaly {

// Names come from file systems, whose bytes need not be UTF-8: what is none becomes U+FFFD. indent -1: on one
// line.
inline std::string json_text(const nlohmann::json& value, int indent = -1) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The text with the same done to it.
inline std::string utf8(const std::string& text) {
  return nlohmann::json::parse(json_text(text)).get<std::string>();
}

}  // namespace dinomaly
