#include "dinomaly/cli/with_helpers.h"

#include <optional>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/inference/shared_predictions.h"

namespace dinomaly {

Work with_helpers(std::function<int()> work, const DetectorFlags& flags) {
  const auto first = [work = std::move(work)] {
    const int status = work();
    dismiss_helpers(communicator());
    return status;
  };
  const auto others = [flags] {
    const StopSignal signals;  // what the first process still wants is finished
    std::optional<Detector> detector;
    help_first(
        [&]() -> const Dinomaly& {
          if (!detector) detector = open_detector(flags);
          return *detector->model;
        },
        communicator());
    return 0;
  };
  return {first, others};
}

}  // namespace dinomaly
