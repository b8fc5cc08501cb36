#include "dinomaly/cli/alarm_flags.h"

#include <CLI/CLI.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/standard_error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

void add_alarm_flags(CLI::App& command, AlarmFlags& flags) {
  command.add_option("--on-anomaly", flags.command,
                     "run this program for each anomaly, with the verdict's JSON on its standard input; no "
                     "shell and no arguments");
  command.add_option("--webhook", flags.webhook, "post each anomaly's JSON to this address (http or https)");
  command.add_option("--mqtt", flags.mqtt,
                     "publish each anomaly's JSON on a broker: HOST/TOPIC, HOST:PORT/TOPIC, or "
                     "mqtts://USER:PASSWORD@HOST/TOPIC");
}

std::unique_ptr<Alarm> open_alarm(const AlarmFlags& flags) {
  if (!flags.any()) return nullptr;
  return std::make_unique<Alarm>(
      alarm_ways(flags), [](const std::string& line) { print_error("dinomaly: {}\n", one_line(line)); });
}

bool finish_alarm(Alarm* alarm) {
  const int64_t lost = alarm == nullptr ? 0 : alarm->finish();
  if (lost > 0) print_error("dinomaly: {} did not arrive\n", counted(lost, "alarm"));
  return lost == 0;
}

}  // namespace dinomaly
