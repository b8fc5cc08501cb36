#include "dinomaly/training/draws.h"

#include <map>
#include <utility>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace dinomaly {

Draws::Draws(const std::vector<Sample>& samples, uint64_t seed) : seed_(seed) {
  std::map<std::pair<std::string, std::string>, size_t> objects;
  for (size_t i = 0; i < samples.size(); ++i) {
    const Sample& sample = samples[i];
    size_t place = choices_.size();
    pairs_ |= sample.grouping == Grouping::rgb_and_infrared;
    if (sample.grouping == Grouping::strips || sample.grouping == Grouping::rgb_and_infrared)
      place = objects.try_emplace({sample.category, sample.object}, place).first->second;
    if (place == choices_.size()) choices_.emplace_back();
    std::vector<int64_t>& choice = choices_[place];
    choice.insert(
        sample.grouping == Grouping::rgb_and_infrared && !sample.infrared ? choice.begin() : choice.end(),
        static_cast<int64_t>(i));
  }
  for (const std::vector<int64_t>& choice : choices_)
    check(!pairs_ || choice.size() == 2, "draws: {} images where a pair is needed", choice.size());
}

int64_t Draws::in_batch(int64_t images) const {
  check_input(!pairs_ || images % 2 == 0,
              "--batch: {} is odd; a batch is RGB images and as many infrared ones", images);
  return pairs_ ? images / 2 : images;
}

std::vector<int64_t> Draws::images(const std::vector<int64_t>& drawn, int64_t first) const {
  constexpr uint64_t apart =
      0x7669657773;  // from the order of the data and dropout, which have the same seed
  std::vector<int64_t> result;
  if (pairs_) {
    for (const size_t sensor : {size_t{0}, size_t{1}}) {
      for (const int64_t pair : drawn) result.push_back(choices_.at(static_cast<size_t>(pair))[sensor]);
    }
    return result;
  }
  for (size_t i = 0; i < drawn.size(); ++i) {
    const std::vector<int64_t>& choices = choices_.at(static_cast<size_t>(drawn[i]));
    Generator generator(seed_ ^ apart, static_cast<uint64_t>(first) + i);
    result.push_back(choices[choices.size() == 1 ? 0 : generator.below(choices.size())]);
  }
  return result;
}

}  // namespace dinomaly
