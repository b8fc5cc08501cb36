// The flags of every command that needs a trained model, and of those that judge a data set by it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dinomaly/cli/command_files.h"
#include "dinomaly/data/dataset.h"
#include "dinomaly/model/model_file.h"

namespace CLI {
class App;
}

namespace dinomaly {

struct DetectorFlags {
  std::string model, encoder, device = "cpu";
  int64_t heads = 0, batch = 16;
  int threads = 0;
  bool fast = false;
};

// MODEL, --encoder, --heads, --batch, --threads, --fast, --device, --deterministic.
void add_detector_flags(CLI::App& command, DetectorFlags& flags);

// The files of MODEL and --encoder. Throws InputError.
CommandFiles files_read(const DetectorFlags& flags);

// Loads the model onto the device and sets the number of threads; what becomes of its file later changes nothing. Throws
// InputError.
Detector open_detector(const DetectorFlags& flags);

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

struct InspectionFlags {
  std::optional<int64_t> tile, overlap;
  std::optional<std::string> area;

  bool given() const { return tile || overlap || area; }
};

// --tile, --overlap and --area; `area_default`: for the help.
void add_inspection_flags(CLI::App& command, InspectionFlags& flags, const std::string& area_default);

// What the flags ask for; without any, `usual`. Throws InputError for what cannot be combined.
Inspection inspection_of(const InspectionFlags& flags, const Inspection& usual);

// Thresholds hold for the inspection they were found with: throws InputError if that is not `inspection`.
// `instead`: what else a user can do than to calibrate again.
void check_thresholds_fit(const std::string& model, const std::optional<Calibration>& calibration,
                          const Inspection& inspection, const std::string& instead = "");

}  // namespace dinomaly
