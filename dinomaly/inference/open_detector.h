// A trained model as a user asks for it: which one, where it computes, what of an image it judges.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/model_file.h"

namespace dinomaly {

// Named as the flags of every command that needs a model.
struct DetectorFlags {
  std::string model, encoder, device = "cpu";
  int64_t heads = 0, batch = 16;
  int threads = 0;
  bool fast = false;
};

// Loads the model onto the device and sets the number of threads; what becomes of its file later changes nothing. Throws
// InputError.
Detector open_detector(const DetectorFlags& flags);

struct InspectionFlags {
  std::optional<int64_t> tile, overlap;
  std::optional<std::string> area;
  std::optional<std::string> roi;  // RegionOfInterest::parse()
};

// What the flags ask for; where none of tile, overlap and area does, or roi does not, as `usual`. A region of the pixels of
// that of `usual` is that one, with the size of its images. Throws InputError for what cannot be combined.
Inspection inspection_of(const InspectionFlags& flags, const Inspection& usual);

// The inspection asked for, otherwise that of the calibration: its thresholds hold for no other.
Inspection inspection_for(const InspectionFlags& flags, const Detector& detector);

// Thresholds hold for the inspection they were found with: throws InputError if that is not `inspection`, naming the
// flags that make it another. `instead`: what else a user can do than to calibrate again.
void check_thresholds_fit(const std::string& model, const std::optional<Calibration>& calibration,
                          const Inspection& inspection, const std::string& instead = "");

}  // namespace dinomaly
