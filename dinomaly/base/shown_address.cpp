#include "dinomaly/base/shown_address.h"

#include <algorithm>
#include <cctype>

namespace dinomaly {

namespace {

bool is_short_number(const std::string& value) {
  return !value.empty() && value.size() <= 3 &&
         std::all_of(value.begin(), value.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

std::string shown_query(const std::string& query) {
  std::string result;
  for (size_t begin = 0; begin <= query.size();) {
    const size_t end = std::min(query.find('&', begin), query.size());
    const std::string part = query.substr(begin, end - begin);
    const size_t equals = part.find('=');
    const std::string value = equals == std::string::npos ? part : part.substr(equals + 1);
    if (begin > 0) result += '&';
    result += part.substr(0, part.size() - value.size());
    result += value.empty() || is_short_number(value) ? value : "***";
    begin = end + 1;
  }
  return result;
}

}  // namespace

std::string shown_address(const std::string& address) {
  const size_t scheme = address.find("://");
  if (scheme == std::string::npos) return address;
  const size_t host = scheme + 3;
  const size_t end = std::min(address.find('/', host), address.size());  // a password may hold a '?'
  const size_t at = address.rfind('@', end);
  const bool named = at != std::string::npos && at >= host;
  const size_t from = named ? at + 1 : host;
  const size_t query = std::min(address.find('?', from), address.size());
  std::string shown = address.substr(0, host);
  if (named) shown += "***@";
  shown += address.substr(from, query - from);
  if (query < address.size()) shown += '?', shown += shown_query(address.substr(query + 1));
  return shown;
}

}  // namespace dinomaly
