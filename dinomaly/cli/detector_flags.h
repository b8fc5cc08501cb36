// The flags of every command that needs a trained model, and of those that judge a data set by it.
#pragma once

#include <string>
#include <vector>

#include "dinomaly/cli/command_files.h"
#include "dinomaly/data/dataset.h"
#include "dinomaly/inference/open_detector.h"

namespace CLI {
class App;
}

namespace dinomaly {

// MODEL, --encoder, --heads, --batch, --threads, --fast, --device, --deterministic.
void add_detector_flags(CLI::App& command, DetectorFlags& flags);
// The same without MODEL.
void add_judging_flags(CLI::App& command, DetectorFlags& flags);

// The files of MODEL and --encoder. Throws InputError.
CommandFiles files_read(const DetectorFlags& flags);

struct DataFlags {
  std::string data, layout = "auto";
  std::vector<std::string> categories;
};

// DATA, --categories, --layout.
void add_data_flags(CLI::App& command, DataFlags& flags);

// Throws InputError naming the first sample that the model cannot judge: without the depth that it takes, with one that
// it does not take, a picture of several views where it judges views, a pair for other than three channels.
void check_fits(const Detector& detector, const std::string& model, const std::vector<Sample>& samples);

// Lists the data set's images. Throws InputError.
Dataset open_data(const DataFlags& flags);
// The same without the categories that lack good or anomalous test images, which it names on standard error;
// one at least must have both. Each test image is decoded once to find damaged files before the work, not
// after it; with tiles it may be as large as what is read in strips. `detector`, if any: check_fits().
Dataset open_labelled_data(const DataFlags& flags, const DetectorFlags& by, const Detector* detector,
                           const Tiling& tiling = {});

// --tile, --overlap, --area and --roi; what is the default: for the help.
void add_inspection_flags(CLI::App& command, InspectionFlags& flags, const std::string& area_default,
                          const std::string& roi_default);
void add_roi_flag(CLI::App& command, std::optional<std::string>& roi, const std::string& roi_default);

}  // namespace dinomaly
