// A trained model on images of any size: a score and a map in the image's own pixels.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dinomaly/image/image.h"
#include "dinomaly/image/image_map.h"
#include "dinomaly/image/inspection.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/inference/prediction.h"
#include "dinomaly/model/model.h"
#include "tensor/communicator.h"

namespace dinomaly {

// The model's config for an inspection: `image` tells what of an image is inspected. Of whole images the crop is
// as large as they are resized to; they are shown to the model as overlapping crops of the size it knows, at
// four corners unless the margin is unusually wide, and the maps of these are blended. A tile is resized to the
// crop's size. Where there are several inputs, each is blurred as if it went on beyond its border.
Config inspecting_config(const Dinomaly& model, const Inspection& inspection);

class Predictor {
 public:
  // The model must outlive the predictor; it runs without dropout, whatever its mode. At most `batch` images
  // or tiles go through a GPU at a time. Through a CPU one does, since more are no faster there and take more memory.
  // Of several processes the first one's has the others' help in for_each_prediction(): they are in help_first() then.
  explicit Predictor(const Dinomaly& model, const Inspection& inspection = {}, int64_t batch = 16,
                     Communicator& processes = communicator());

  const Tiling& tiling() const { return inspection_.tiling; }
  const Inspection& inspection() const { return inspection_; }
  Communicator& processes() const { return processes_; }
  // How many images or tiles go through the model at a time; on a CPU 1.
  int64_t batch() const { return batch_; }
  bool on_cpu() const { return on_cpu_; }
  // Why an image of this size cannot be judged: the region of interest is none of it, or nothing of it is inspected.
  std::string misfit(int64_t width, int64_t height) const;
  const Config& config() const { return config_; }  // inspecting_config()
  // How the model's images are read.
  const PixelRules& pixels() const { return config_.image.pixels; }
  // (n, channels, crop_h, crop_w) f32, with depth (n, 6, ...), of the model's crop: the image's crop (n = 1), its
  // overlapping crops or its tiles. Safe to call from any thread.
  Tensor inputs(const Image& rgb) const;
  // A prediction for each image, an empty one for those that hold an error: that of its reader, or one that is found
  // now, because misfit() speaks, a map is not finite or a file read in strips is damaged. Reads the tiles of those that come
  // as such, and makes InputImage::rgb a smaller image of them. Safe to call from several threads at a time, like
  // predict(); the result does not depend on what else is judged meanwhile.
  std::vector<Prediction> predict_each(std::vector<InputImage>& images) const;
  // The same, but throws the first error (InputError), naming the image's path, or "image 2" where it has none.
  std::vector<Prediction> predict(std::vector<InputImage> images) const;
  Prediction predict(const Image& rgb) const;
  // The score and map of an image that is read tile by tile: of upright images the very numbers that reading it
  // as a whole gives. In memory are one batch of tiles and the map. Throws InputError as TileReader::next().
  Prediction predict(TileReader& tiles) const;
  // What an equal predictor said of an image of this size: its score and Prediction::tensors().
  Prediction restored(int64_t width, int64_t height, double score, std::vector<Tensor> tensors) const;

 private:
  struct Judged {
    std::vector<float> scores;
    std::vector<Tensor> blurred,
        maps;  // of each input, on the CPU: AnomalyMaps::blurred, and the one handed out
  };
  Judged judge(const std::vector<Tensor>& inputs) const;
  Prediction begun(int64_t width, int64_t height) const;  // all that does not depend on pixels
  // The score of what counts in a part that lies there; -infinity where nothing does.
  double score_of(const Judged& judged, size_t part, const MapPlace& place) const;
  // Where the parts of an image lie, its tiles or its crop.
  std::vector<MapPlace> places_of(int64_t width, int64_t height) const;
  void judge_in_memory(const std::vector<InputImage>& images, std::vector<Prediction>& predictions) const;
  // The maps of overlapping crops, from the given one on, as one of the resized image.
  Tensor join(const std::vector<Tensor>& maps, size_t first) const;
  void judge_whole(const Judged& judged, size_t first, Prediction& prediction) const;

  const Dinomaly& model_;
  Inspection inspection_;
  Communicator& processes_;
  std::shared_ptr<const RegionOfInterest> roi_;
  bool on_cpu_;
  int64_t batch_;
  Config config_;
  Tiling columns_, rows_;   // of the overlapping crops in the resized image
  std::vector<Box> crops_;  // the same; one: the crop as it is
};

}  // namespace dinomaly
