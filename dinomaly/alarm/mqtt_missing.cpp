// In place of mqtt.cpp where the program is built without libmosquitto.
#include "dinomaly/alarm/mqtt.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

std::unique_ptr<AlarmWay> alarm_by_mqtt(const std::string&, double) {
  fail_input(
      "--mqtt: this program was built without libmosquitto and publishes nothing (Debian: libmosquitto-dev)");
}

}  // namespace dinomaly
