#include "dinomaly/inference/open_detector.h"

#include <filesystem>
#include <utility>

#include "dinomaly/base/open_device.h"
#include "dinomaly/model/quantized_weights.h"
#include "dinomaly/training/train_options.h"
#include "tensor/threads.h"

namespace dinomaly {

static void check_fast(const Detector& detector, const std::string& model) {
  const ImageConfig& image = detector.config().image;
  check_input(is_quantized(*detector.model), "--fast: {} is not int8: make one with train --fast", model);
  check_input(image.resize_h == image.crop_h && image.resize_w == image.crop_w &&
                  image.crop_h == image.crop_w &&
                  image.crop_h <= fast_side(detector.model->encoder().config().patch, false),
              "--fast: {} judges images of {} x {} pixels, cropped to {} x {}: make one with train --fast",
              model, image.resize_h, image.resize_w, image.crop_h, image.crop_w);
}

Detector open_detector(const DetectorFlags& flags) {
  const Device device = open_device(flags.device);
  if (flags.threads > 0) nabla::set_num_threads(flags.threads);
  const std::optional<std::filesystem::path> encoder =
      flags.encoder.empty() ? std::nullopt : std::optional<std::filesystem::path>(flags.encoder);
  Detector detector = load_detector(flags.model, encoder, flags.heads);
  if (flags.fast) check_fast(detector, flags.model);
  if (!device.is_cpu()) detector.model->to(device);
  return detector;
}

Inspection inspection_of(const InspectionFlags& flags, const Inspection& usual) {
  Inspection inspection = usual;
  if (flags.roi) inspection.roi = RegionOfInterest::parse(*flags.roi);
  if (inspection.roi.width() == 0 && inspection.roi.boxes() == usual.roi.boxes()) inspection.roi = usual.roi;
  if (!flags.tile && !flags.overlap && !flags.area) return inspection;
  check_input(flags.tile || !flags.overlap, "--overlap: there is nothing to overlap without --tile");
  inspection = {.roi = std::move(inspection.roi)};
  if (flags.tile) inspection.tiling = {*flags.tile, flags.overlap.value_or(default_overlap(*flags.tile))};
  if (flags.area) inspection.area = parse_area(*flags.area);
  validate(inspection);
  return inspection;
}

Inspection inspection_for(const InspectionFlags& flags, const Detector& detector) {
  return inspection_of(flags, detector.calibration ? detector.calibration->inspection : Inspection{});
}

void check_thresholds_fit(const std::string& model, const std::optional<Calibration>& calibration,
                          const Inspection& inspection, const std::string& instead) {
  if (!calibration || calibration->inspection == inspection) return;
  const Inspection& usual = calibration->inspection;
  const bool other_roi = !(inspection.roi == usual.roi),
             other_area = inspection.tiling != usual.tiling || inspection.area != usual.area;
  std::string given;
  if (other_area) given = flags_of({.tiling = inspection.tiling, .area = inspection.area});
  if (other_roi) given += (other_area ? " " : "") + inspection.roi.flag();
  // calibrate keeps a region unless it is told otherwise.
  const char* no_roi = other_roi && !inspection.roi.on() ? " --roi none" : "";
  fail_input("{}: {}: its thresholds were found with {}; leave the flag out, or run calibrate with {}{}{}",
             given, model, flags_of(usual), flags_of(inspection), no_roi, instead);
}

}  // namespace dinomaly
