// A broker that each anomaly is published on.
#pragma once

#include <memory>
#include <string>

#include "dinomaly/alarm/alarm.h"

namespace dinomaly {

struct MqttAddress {
  std::string host, topic, user, password;
  int port = 1883;
  bool encrypted = false;
};

// HOST/TOPIC, HOST:PORT/TOPIC, or mqtt:// or mqtts:// before it, and USER:PASSWORD@ before the host. Throws InputError for
// anything else, and a topic with the wildcards + and #.
MqttAddress parse_mqtt_address(const std::string& text);

// MQTT 3.1.1 with quality of service 1: a message has arrived when the broker says so, within `seconds`. A lost connection is
// made again for the next message. With mqtts the broker's certificate is checked by the system's.
std::unique_ptr<AlarmWay> alarm_by_mqtt(const std::string& address, double seconds = 10);

}  // namespace dinomaly
