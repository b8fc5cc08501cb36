// A program that is run for each anomaly.
#pragma once

#include <memory>
#include <string>

#include "dinomaly/alarm/alarm.h"

namespace dinomaly {

// The program gets the JSON on its standard input, no arguments, and no shell in between; what it prints goes to standard error.
// One that takes more than `seconds`, or ends with another status than 0, has not been told. Throws InputError where there is no
// such program.
std::unique_ptr<AlarmWay> alarm_by_command(const std::string& program, double seconds = 60);

}  // namespace dinomaly
