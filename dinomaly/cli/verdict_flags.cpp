#include "dinomaly/cli/verdict_flags.h"

#include <CLI/CLI.hpp>

namespace dinomaly {

void add_verdict_flags(CLI::App& command, VerdictFlags& flags) {
  command.add_option("--threshold", flags.threshold,
                     "scores above this are anomalous (default: the calibrated threshold)");
  command.add_option("--pixel-threshold", flags.pixel_threshold, "map values above this form regions");
  command.add_option("--category", flags.category,
                     "use the thresholds of this category (calibrate --per-category)");
  command.add_option("--min-area", flags.min_area,
                     "smallest region that is listed and outlined, in pixels (default: a ten-thousandth of "
                     "the inspected area)");
}

}  // namespace dinomaly
