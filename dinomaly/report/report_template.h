// The text of dinomaly/report/report.html, which CMake puts into the program.
#pragma once

#include <string>

namespace dinomaly {

std::string report_template();

}  // namespace dinomaly
