// The text of dinomaly/report/report.html, which CMake embeds in the program.
#pragma once

#include <string>

namespace dinomaly {

std::string report_template();

}  // namespace dinomaly
