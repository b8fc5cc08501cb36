#include "dinomaly/data/dataset.h"

#include <algorithm>

namespace dinomaly {

Picture picture_of(const Sample& sample) {
  Picture picture(sample.image, sample.strip);
  picture.depth = sample.depth;
  return picture;
}

std::vector<Picture> pictures_of(const std::vector<Sample>& samples) {
  std::vector<Picture> pictures;
  for (const Sample& sample : samples) pictures.push_back(picture_of(sample));
  return pictures;
}

std::string missing_classes(const Category& category) {
  const auto& test = category.test;
  if (test.empty()) return "no labelled test images";
  const auto anomalous = [](const Sample& sample) { return sample.anomalous; };
  if (std::none_of(test.begin(), test.end(), anomalous)) return "no anomalous test images";
  if (std::all_of(test.begin(), test.end(), anomalous)) return "no good test images";
  return "";
}

std::string missing_for_evaluation(const Category& category) {
  std::string missing = missing_classes(category);
  if (!missing.empty()) return missing;
  const bool masks = std::all_of(category.test.begin(), category.test.end(),
                                 [](const Sample& sample) { return !sample.anomalous || sample.mask; });
  return masks ? "" : "test images without masks";
}

namespace {

std::vector<Sample> samples_of(const Dataset& dataset, std::vector<Sample> Category::*part) {
  std::vector<Sample> samples;
  for (const Category& category : dataset.categories)
    samples.insert(samples.end(), (category.*part).begin(), (category.*part).end());
  return samples;
}

}  // namespace

std::vector<Sample> training_samples(const Dataset& dataset) { return samples_of(dataset, &Category::train); }

std::vector<Sample> test_samples(const Dataset& dataset) { return samples_of(dataset, &Category::test); }

std::vector<Picture> pictures_of_some(const std::vector<Sample>& samples, size_t most) {
  const size_t count = std::min(most, samples.size());
  std::vector<Picture> pictures;
  for (size_t i = 0; i < count; ++i) pictures.push_back(picture_of(samples[i * samples.size() / count]));
  return pictures;
}

}  // namespace dinomaly
