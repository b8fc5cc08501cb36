// In place of webhook.cpp where the program is built without libcurl.
#include "dinomaly/alarm/webhook.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

std::unique_ptr<AlarmWay> alarm_by_webhook(const std::string&) {
  fail_input(
      "--webhook: this program was built without libcurl and posts nothing (Debian: libcurl4-openssl-dev)");
}

}  // namespace dinomaly
