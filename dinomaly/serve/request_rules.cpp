#include "dinomaly/serve/request_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

std::vector<std::string> parameters_of(const std::string& path) {
  if (path == "/predict") return {"model", "name", "overlay", "map"};
  return {"model", "name"};
}

}  // namespace

bool is_post_path(const std::string& path) { return path == "/predict" || path == "/feedback"; }

bool is_get_path(const std::string& path) {
  return path == "/" || path == "/healthz" || path == "/metrics" || path == "/models" ||
         path == "/openapi.json";
}

std::string wrong_parameter(const httplib::Request& request) {
  const std::vector<std::string> known = parameters_of(request.path);
  for (const auto& [name, value] : request.params) {
    const std::string shown = printable(name, 40);
    if (std::find(known.begin(), known.end(), name) == known.end())
      return fmt::format("there is no parameter '{}'; there are {}", shown, fmt::join(known, ", "));
    if (request.get_param_value_count(name) > 1) return fmt::format("{}: it is given more than once", shown);
  }
  return "";
}

bool may_have_body(const httplib::Request& request) {
  return request.has_header("Transfer-Encoding") || request.get_header_value("Content-Length") > "0";
}

std::optional<int64_t> length_of(const httplib::Request& request) {
  const std::string text = request.get_header_value("Content-Length");
  const bool digits = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (text.empty() || text.size() > 18 || !digits) return std::nullopt;
  return std::stoll(text);
}

std::string host_of(std::string text) {
  const size_t scheme = text.find("://");
  if (scheme != std::string::npos) text.erase(0, scheme + 3);
  const size_t end = text.starts_with('[') ? text.find(']') + 1 : text.find(':');
  text = text.substr(0, end);
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace dinomaly
