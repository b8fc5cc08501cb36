// Data sets whose images are named in a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// All check that the images and masks they name exist, and throw InputError naming the list (and its row) or
// the file otherwise.

// VisA as published (Zou et al., ECCV 2022): ROOT/split_csv/1cls.csv with the columns object, split, label,
// image, mask; paths from ROOT. Masks hold labels: every value but 0 is fully anomalous.
Dataset read_visa_raw(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

// Real-IAD (Wang et al., CVPR 2024): ROOT/realiad_jsons[/realiad_jsons]/CATEGORY.json with the lists "train"
// and "test" of {anomaly_class, image_path, mask_path}; "OK" is normal; paths from ROOT/realiad_1024/CATEGORY
// (or realiad_512, realiad_256, realiad_raw: the first that is there).
Dataset read_real_iad(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

// A CSV with the columns path, label, mask, category, split; only path is needed. Paths count from the file's
// folder. label: good, ok, normal, 0 or nothing is normal; 1, bad, ng, anomaly, anomalous and defect are
// anomalous; any other text too, and names the defect. category: the file's name without it. split: train or
// test; without it normal images train, and hold_out_good() applies.
Dataset read_csv_dataset(const std::filesystem::path& file, const std::vector<std::string>& categories = {});

}  // namespace dinomaly
