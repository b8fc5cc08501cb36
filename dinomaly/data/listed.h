// Data sets whose images are listed in a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"

namespace dinomaly {

// All check that the listed images and masks exist; otherwise they throw InputError naming the list (and its
// row) or the file.

// VisA as published (Zou et al., ECCV 2022): ROOT/split_csv/1cls.csv with the columns object, split, label,
// image, mask; paths from ROOT. Masks hold labels: every value but 0 is fully anomalous.
Dataset read_visa_raw(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

// Real-IAD (Wang et al., CVPR 2024): ROOT/realiad_jsons[/realiad_jsons]/CATEGORY.json with the lists "train"
// and "test" of {anomaly_class, image_path, mask_path}; "OK" is normal; paths from ROOT/realiad_1024/CATEGORY
// (or realiad_512, realiad_256, realiad_raw: the first that exists). The images of one folder are the views of one
// object; a view is anomalous if its class is not "OK" and mask_path is not null (as in the authors' Dinomaly2,
// dataset.py, RealIADDatasetv2).
bool is_real_iad(
    const std::filesystem::path& root);  // by either folder: the reader says which one is missing
Dataset read_real_iad(const std::filesystem::path& root, const std::vector<std::string>& categories = {});

// A CSV with the columns path, label, mask, category, split; only path is required. Paths are relative to the
// file's folder. label: good, ok, normal, 0 or empty mean normal; 1, bad, ng, anomaly, anomalous and defect
// mean anomalous; any other text also means anomalous and names the defect. category: defaults to the file's
// name. split: train or test; without it normal images are for training, and hold_out_good() applies.
Dataset read_csv_dataset(const std::filesystem::path& file, const std::vector<std::string>& categories = {});

}  // namespace dinomaly
