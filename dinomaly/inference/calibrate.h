// Finds the thresholds of a model on images it has not been trained on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/inference/object_score.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/inference/threshold.h"
#include "dinomaly/model/calibration.h"

namespace dinomaly {

class Calibrator;

struct CalibrationOptions {
  CalibrationMethod method = CalibrationMethod::good;
  double false_alarm_rate = 0.01;
  bool per_category = false;  // thresholds of each category besides those of all
  Inspection inspection;
  int64_t batch = 16;
  std::function<void(const Calibrator&)> begin;  // before the first image goes through the model
  std::function<void()> progress;                // called after each image
  std::function<void(const Sample&, const Prediction&)> also;  // gets each prediction, too
};

// What is counted of the images of one category.
struct CalibrationStatistics {
  std::vector<float> scores;    // of all images
  std::vector<uint8_t> labels;  // 1: anomalous
  std::vector<float> peaks;     // the maps' largest values, of good images
  std::vector<float> medians;   // the maps' medians, of good images
  std::vector<float> objects;   // scores of objects, and their labels
  std::vector<uint8_t> object_labels;
  std::vector<float> pixels;  // for F1: values on a grid, of images whose mask is known
  std::vector<uint8_t> pixel_labels;
};

// Takes predictions one by one, in any order, and finds the thresholds. `good` uses the normal ones only: the
// threshold of images is a quantile of their scores, that of pixels a quantile of their maps' largest values,
// so that the stated rate of good images shows a region at all. `f1` needs both kinds; pixels of images
// without masks are not counted, and without any mask the threshold of pixels is that of `good`; images whose defects
// all lie outside of the region of interest are passed over. Objects of several
// images have a threshold as images have, unless there are tiles; without good objects, or for F1 both kinds, none. An
// image that equals an earlier one with the same label (image_fingerprint()) says nothing new and is not counted, but
// stays a view of its object; an object whose images all equal those of an earlier one is not counted, either. Throws
// InputError where the images it needs are missing and for a rate that check_false_alarm_rate() refuses.
class Calibrator {
 public:
  // `samples`: all images there are, those that are not used, too: an object with a defect is not a good one, whatever
  // its other images show. `config`: the model's. Decodes those that are used; throws InputError naming one that cannot
  // be read, and as region_for() where the inspection has a region of interest.
  Calibrator(const CalibrationOptions& options, const std::vector<Sample>& samples, const Config& config);
  // Whether the method counts this image; add() passes over the others.
  bool uses(const Sample& sample) const;
  // That of the options, with the size of the images where it has a region of interest: of the predictions that add() gets.
  const Inspection& inspection() const { return options_.inspection; }
  // The images that are counted.
  const std::vector<Sample>& counted() const { return counted_; }
  // How many are not since they equal others, and names of some, in one line; empty if there are none.
  std::string repeats() const;
  // `sample`: one of `samples`. Where a score is not a number, compute() throws an InputError that names the image.
  void add(const Sample& sample, const Prediction& prediction);
  Calibration compute() const;

 private:
  void leave_out_equal_objects(const std::vector<Sample>& used);

  CalibrationOptions options_;
  ObjectCollector objects_;
  std::map<std::string, CalibrationStatistics> categories_;
  std::map<std::pair<std::filesystem::path, int64_t>, std::string> fingerprints_;  // by file and strip
  std::vector<Sample> counted_;
  std::vector<std::pair<std::filesystem::path, std::filesystem::path>> repeats_;  // and the earlier image
  std::vector<std::pair<std::string, std::string>> equal_objects_;                // and the earlier object
  std::set<std::pair<std::string, bool>> added_;  // fingerprint, and whether the image is anomalous
  std::string without_score_;                     // the first such image
};

// The region as one of images of a single size, which all of these have: thresholds found in it hold for no other. Throws
// InputError naming the first image of another size, or one that does not hold the region.
RegionOfInterest region_for(const RegionOfInterest& roi, const std::vector<Sample>& samples,
                            const PixelRules& rules);

// Runs the model over those of the samples that the method uses, object after object.
Calibration calibrate(const Dinomaly& model, const std::vector<Sample>& samples,
                      const CalibrationOptions& options = {});

}  // namespace dinomaly
