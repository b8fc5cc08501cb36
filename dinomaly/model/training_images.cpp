#include "dinomaly/model/training_images.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"

namespace dinomaly {

using nlohmann::json;

namespace {

constexpr double far_in_size = 2, far_in_aspect = 1.1;

double aspect_of(const InputImage& image) {
  return static_cast<double>(image.width) / static_cast<double>(image.height);
}

// "512 x 512" or "512..640 x 512".
std::string sizes_of(const TrainingImages& seen) {
  const auto side = [](int64_t least, int64_t most) {
    return least == most ? fmt::format("{}", least) : fmt::format("{}..{}", least, most);
  };
  return side(seen.least_width, seen.most_width) + " x " + side(seen.least_height, seen.most_height);
}

// The size of MANTA's views, which tells them in files that do not say more.
bool are_of_view_size(const TrainingImages& seen) {
  constexpr int64_t side = 256;
  const auto all = [](int64_t least, int64_t most) { return least == side && most == side; };
  return seen.images > 0 && all(seen.least_width, seen.most_width) &&
         all(seen.least_height, seen.most_height);
}

}  // namespace

void TrainingImages::add(const InputImage& image) {
  const double aspect = aspect_of(image);
  if (images == 0) {
    least_width = most_width = image.width, least_height = most_height = image.height;
    least_aspect = most_aspect = aspect;
  }
  least_width = std::min(least_width, image.width), most_width = std::max(most_width, image.width);
  least_height = std::min(least_height, image.height), most_height = std::max(most_height, image.height);
  least_aspect = std::min(least_aspect, aspect), most_aspect = std::max(most_aspect, aspect);
  ++images;
  grey += image.grey;
}

std::vector<ImageWarning> TrainingImages::warnings(const InputImage& image, bool tiled) const {
  std::vector<ImageWarning> result;
  // Grey alone reaches the model; where it learnt from the grey of colours, more of it is nothing new.
  const bool made_grey = image.channels == 1 && !image.grey && grey == images;
  if (made_grey) result.push_back({"colour", "in colour, converted to grey: the model takes one channel"});
  if (images == 0) return result;
  const auto less = [](int64_t side, int64_t least) {
    return static_cast<double>(side) * far_in_size < static_cast<double>(least);
  };
  const bool smaller = less(image.width, least_width) || less(image.height, least_height),
             larger = less(most_width, image.width) || less(most_height, image.height);
  // One side far too long and the other far too short is another aspect ratio, and that is said below.
  const bool both = !tiled && smaller && larger;
  if (smaller && !both) {
    result.push_back({"smaller", fmt::format("{} x {} pixels, far smaller than the training images ({})",
                                             image.width, image.height, sizes_of(*this))});
  }
  if (!tiled && larger && !both) {
    result.push_back({"larger", fmt::format("{} x {} pixels, far larger than the training images ({})",
                                            image.width, image.height, sizes_of(*this))});
  }
  const double aspect = aspect_of(image);
  if (!tiled && (aspect * far_in_aspect < least_aspect || aspect > most_aspect * far_in_aspect)) {
    result.push_back(
        {"aspect", fmt::format("{} x {} pixels, another aspect ratio than the training images ({})",
                               image.width, image.height, sizes_of(*this))});
  }
  if (image.grey && grey == 0) result.push_back({"grey", "grey, but the training images are in colour"});
  if (!made_grey && !image.grey && grey == images)
    result.push_back({"colour", "in colour, but the training images are grey"});
  return result;
}

json TrainingImages::to_json() const {
  json result = {{"images", images},
                 {"grey", grey},
                 {"width", {least_width, most_width}},
                 {"height", {least_height, most_height}},
                 {"aspect", {least_aspect, most_aspect}}};
  if (strips || are_of_view_size(*this)) result["strips"] = strips;
  return result;
}

TrainingImages TrainingImages::from_text(const std::string& text, const std::string& source) {
  const json value = json::parse(text, nullptr, false);
  const auto number = [&](const json& part) {
    check_input(part.is_number() && part.get<double>() >= 0 && part.get<double>() <= 1e15,
                "{}: what it says of its training images is malformed", source);
    return part;
  };
  const auto range = [&](const char* name, auto& least, auto& most) {
    const json pair = value.is_object() ? value.value(name, json()) : json();
    check_input(pair.is_array() && pair.size() == 2,
                "{}: what it says of its training images has no range '{}'", source, name);
    least = number(pair[0]), most = number(pair[1]);
    check_input(least <= most, "{}: what it says of its training images has a range '{}' from {} to {}",
                source, name, pair[0].dump(), pair[1].dump());
  };
  TrainingImages result;
  range("width", result.least_width, result.most_width);
  range("height", result.least_height, result.most_height);
  range("aspect", result.least_aspect, result.most_aspect);
  result.images = number(value.value("images", json())), result.grey = number(value.value("grey", json()));
  const json strips = value.value("strips", json(are_of_view_size(result)));
  check_input(strips.is_boolean(), "{}: 'strips' of its training images is neither true nor false", source);
  result.strips = strips.get<bool>();
  return result;
}

}  // namespace dinomaly
