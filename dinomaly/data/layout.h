// Reads any supported data set, recognising its layout from its files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

enum class Layout {
  automatic,
  mvtec,     // MVTec AD, MPDD (mvtec.h)
  visa_raw,  // VisA as published (listed.h)
  visa,      // VisA rearranged: [1cls/]OBJECT/{train,test,ground_truth}, masks named as their images
  real_iad,  // with its views as objects (listed.h)
  btad,      // BTAD: train/ok, test/{ok,ko}, ground_truth/ko, masks named as their images
  autovi,    // AutoVI: as MVTec AD, but the masks of an image are in ground_truth/DEFECT/ID/
  manta,     // MANTA: five views in a picture (manta.h)
  mvtec_3d,  // MVTec 3D-AD, Eyecandies, MulSen-AD: pairs.h
  eyecandies,
  mulsen,
  csv,     // a file that names the images (listed.h)
  folder,  // a plain folder (image_folder.h)
};

// "auto", "mvtec", "visa-raw", "visa", "real-iad", "btad", "autovi", "manta", "mvtec-3d", "eyecandies",
// "mulsen", "csv", "folder"; anything else throws InputError.
Layout parse_layout(const std::string& name);

// "mvtec, visa-raw, ... or folder", for help texts.
std::string layout_names();

// The detected layout of `root`; never `automatic`. A folder that matches no other layout is a plain folder.
// Throws InputError if `root` does not exist.
Layout recognise_layout(const std::filesystem::path& root);

// Lists the images of `categories` (all if none is named) with their masks. `root` may also be a single
// category in MVTec AD's or BTAD's layout, which is then named after its folder. Sets Dataset::layout and
// Dataset::notes. Throws InputError naming the file, folder or category at fault.
Dataset read_dataset(const std::filesystem::path& root, const std::vector<std::string>& categories = {},
                     Layout layout = Layout::automatic);

}  // namespace dinomaly
