#include <cctype>

#include "dinomaly/alarm/mqtt.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

MqttAddress parse_mqtt_address(const std::string& text) {
  MqttAddress address;
  std::string rest = text;
  if (rest.starts_with("mqtts://")) {
    address.encrypted = true;
    address.port = 8883;
    rest.erase(0, 8);
  } else if (rest.starts_with("mqtt://")) {
    rest.erase(0, 7);
  }
  const size_t slash = rest.find('/');
  const auto refuse = [](const char* why) {
    fail_input("--mqtt: {} (expected HOST/TOPIC or HOST:PORT/TOPIC)", why);
  };
  if (slash == std::string::npos || slash + 1 == rest.size()) refuse("there is no topic");
  address.topic = rest.substr(slash + 1);
  std::string host = rest.substr(0, slash);
  if (const size_t at = host.rfind('@'); at != std::string::npos) {
    const std::string who = host.substr(0, at);
    const size_t colon = who.find(':');
    address.user = who.substr(0, colon);
    if (colon != std::string::npos) address.password = who.substr(colon + 1);
    host.erase(0, at + 1);
  }
  if (const size_t colon = host.rfind(':');
      colon != std::string::npos && host.find(']', colon) == std::string::npos) {
    const std::string port = host.substr(colon + 1);
    int value = 0;
    for (const char c : port)
      value =
          std::isdigit(static_cast<unsigned char>(c)) != 0 && value < 100000 ? 10 * value + c - '0' : 100000;
    if (port.empty() || value < 1 || value > 65535) refuse("the port is no number from 1 to 65535");
    address.port = value;
    host.erase(colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) refuse("there is no host");
  if (address.topic.find_first_of(std::string("+#\0", 3)) != std::string::npos)
    refuse("a topic with + or # is for those who listen");
  address.host = host;
  return address;
}

}  // namespace dinomaly
