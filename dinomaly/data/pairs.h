// Data sets that have two images of each object, from different sensors.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// `root` may also be a single category. All throw InputError naming a file whose partner is missing, and as the
// readers of other layouts do.

// Adds a note where point clouds are among the depth files, and one more where depth maps are, too: clouds are prepared,
// maps are not, so a few of one kind among the other would be judged unlike them.
void note_depth_kinds(Dataset& dataset);

// MVTec 3D-AD (Bergmann et al., VISAPP 2022): ROOT/CATEGORY/train/good/rgb/ID.png with .../xyz/ID.tiff beside it;
// test/DEFECT/{rgb,xyz,gt}. Point clouds are prepared as they are read (prepare_scene()). Where there is a folder z
// (the authors' script writes it: one float a pixel, all of that done) it is read instead of xyz, as it is. The part
// "validation" is not used.
Dataset read_mvtec_3d(const std::filesystem::path& root, const std::vector<std::string>& categories = {});
bool is_mvtec_3d(const std::filesystem::path& category);

// Eyecandies (Bonfiglioli et al., ACCV 2022; eyecan-ai.github.io/eyecandies): ROOT/CATEGORY/train/data/N_image_4.png
// with N_depth.png (16 bits); test_public/data has N_mask.png, too, empty where the object is good. Of the six
// lights of an object image_4 is taken, as others do. The parts "val" and "test_private" are not used.
Dataset read_eyecandies(const std::filesystem::path& root, const std::vector<std::string>& categories = {});
bool is_eyecandies(const std::filesystem::path& category);

// MulSen-AD (Li et al., CVPR 2025; github.com/ZZZBBBZZZ/MulSen-AD): ROOT/CATEGORY/{RGB,Infrared}/train/N.png,
// test/DEFECT/N.png (or test/good), GT/DEFECT/N.png. A sensor need not see a defect: RGB/GT/DEFECT/data.csv has a
// line for each object, in the order of their numbers, whose second and third fields say 1 where its RGB and its
// infrared image is anomalous; without it an image is anomalous if it has a mask. Point clouds are not used.
struct PairMember {
  std::filesystem::path
      object;  // the RGB image's path without its extension, "." and ".."; its folder is called RGB
  bool infrared = false;
};
// Which object an image shows that stands in no data set, and by which sensor: as in MulSen-AD for .../RGB/... and
// .../Infrared/..., otherwise ID.png and ID_infrared.png beside each other; all in small letters or capitals.
PairMember pair_member(const std::filesystem::path& image);

Dataset read_mulsen(const std::filesystem::path& root, const std::vector<std::string>& categories = {});
bool is_mulsen(const std::filesystem::path& category);

}  // namespace dinomaly
