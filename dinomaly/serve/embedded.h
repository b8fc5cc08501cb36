// Files of this folder that CMake embeds in the program.
#pragma once

#include <string>

namespace dinomaly {

std::string serve_page();           // page.html; "@NONCE@" stands for that of the Content-Security-Policy
std::string openapi_description();  // openapi.json

}  // namespace dinomaly
