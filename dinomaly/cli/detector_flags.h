// The flags of every command that needs a trained model, and of those that judge a data set by it.
#pragma once

#include <string>
#include <vector>

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
};

// MODEL, --encoder, --heads, --batch, --threads, --device, --deterministic.
void add_detector_flags(CLI::App& command, DetectorFlags& flags);

// Loads the model onto the device and sets the number of threads. Throws InputError.
Detector open_detector(const DetectorFlags& flags);

struct DataFlags {
  std::string data, layout = "auto";
  std::vector<std::string> categories;
};

// DATA, --categories, --layout.
void add_data_flags(CLI::App& command, DataFlags& flags);

// Lists the data set's images. Throws InputError.
Dataset open_data(const DataFlags& flags);
// The same; each category must have good and anomalous test images, each of which is decoded once to find
// damaged files before the work, not after it.
Dataset open_labelled_data(const DataFlags& flags);

// --tile and --overlap.
void add_tiling_flags(CLI::App& command, Tiling& tiling);

}  // namespace dinomaly
