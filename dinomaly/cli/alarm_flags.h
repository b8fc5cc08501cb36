// The flags that say who is told of an anomaly.
#pragma once

#include <memory>

#include "dinomaly/alarm/alarm.h"

namespace CLI {
class App;
}

namespace dinomaly {

// --on-anomaly, --webhook, --mqtt.
void add_alarm_flags(CLI::App& command, AlarmFlags& flags);

// Null where nobody is to be told. What does not arrive gets a line on standard error. Throws InputError as alarm_ways().
std::unique_ptr<Alarm> open_alarm(const AlarmFlags& flags);

// Waits for what is on its way; whether all has arrived. Counts what has not on standard error. `alarm` may be null.
bool finish_alarm(Alarm* alarm);

}  // namespace dinomaly
