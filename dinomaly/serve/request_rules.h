// What a request's line and headers say, before anybody reads its body.
#pragma once

#include <httplib.h>

#include <cstdint>
#include <optional>
#include <string>

namespace dinomaly {

// The paths that there are.
bool is_post_path(const std::string& path);
bool is_get_path(const std::string& path);

// What is wrong with the parameters of a POST: whoever sends one that is not known would believe that it is obeyed, and of
// two values only the first would count. Empty: nothing.
std::string wrong_parameter(const httplib::Request& request);

bool may_have_body(const httplib::Request& request);
// Of its body in bytes; none without a Content-Length, or with one that is no number.
std::optional<int64_t> length_of(const httplib::Request& request);

// A host of a header, without its port.
std::string host_of(std::string text);

}  // namespace dinomaly
