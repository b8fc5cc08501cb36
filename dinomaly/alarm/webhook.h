// An address that each anomaly is posted to.
#pragma once

#include <memory>
#include <string>

#include "dinomaly/alarm/alarm.h"

namespace dinomaly {

// POST with Content-Type: application/json to `address` (http or https), proxies as curl has them. A broken connection and a
// status of 5xx or 429 are tried three times; 4xx is an error at once, and so is a redirection. Throws InputError for an address
// that is none.
std::unique_ptr<AlarmWay> alarm_by_webhook(const std::string& address);

}  // namespace dinomaly
