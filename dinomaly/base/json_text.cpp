#include "dinomaly/base/json_text.h"

#include <nlohmann/json.hpp>

namespace dinomaly {

std::string json_text(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string utf8(const std::string& text) {
  return nlohmann::json::parse(json_text(text)).get<std::string>();
}

}  // namespace dinomaly
