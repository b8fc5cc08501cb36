// The results of a run: tables for readers, JSON for programs, and images.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dinomaly/evaluation/evaluate.h"
#include "dinomaly/model/calibration.h"
#include "dinomaly/model/config.h"

namespace dinomaly {

struct RunSeconds {
  double features = 0, train = 0, evaluate = 0;
};

// One colour scale for all maps of a run: from the smallest value of any map to the 99.5th percentile of the
// images' largest values.
ColourScale colour_scale(const std::vector<CategoryResult>& results);

// The mean over categories of each number.
Metrics mean_metrics(const std::vector<CategoryResult>& results);

// image_auroc, image_ap, image_f1max, pixel_auroc, pixel_ap, pixel_f1max, aupro.
std::vector<std::string> metric_names();
double metric_value(const Metrics& metrics, const std::string& name);  // throws InputError for another name

// Prints one row per category and their mean on standard output.
void print_metrics(const std::vector<CategoryResult>& results);

// The columns of paper_table(): {"categories": {NAME: {image_auroc, ...}}, "mean": {...}, "config": {...},
// "seconds": {...}}. An undefined number is null.
void write_metrics(const std::filesystem::path& path, const std::vector<CategoryResult>& results,
                   const Config& config, const RunSeconds& seconds);

// OUT/metrics.json, OUT/heatmaps and a table on standard output; nothing of it for no results. `dataset`: the
// categories of the results, in their order.
void write_results(const std::filesystem::path& out, const std::vector<CategoryResult>& results,
                   const Dataset& dataset, const Config& config, const RunSeconds& seconds);

// DIR/CATEGORY/DEFECT_ID.png for every test image: image, mask and map side by side, all with
// colour_scale(results). The images are read again.
void write_heatmaps(const std::filesystem::path& directory, const std::vector<CategoryResult>& results,
                    const Dataset& dataset, const Config& config);

}  // namespace dinomaly
