// What each name that Meta, timm and transformers give a tensor of an encoder stands for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "dinomaly/base/framework.h"

namespace dinomaly {

// Where a tensor of a file goes: part `part` of `parts`, joined along axis 0.
struct Place {
  // The libraries that write the name: a set of bits.
  enum Libraries : unsigned { meta = 1, timm = 2, transformers = 4, meta_or_timm = 3, all = 7 };
  std::string name;
  size_t part = 0, parts = 1;
  unsigned libraries = all;
  std::string spelling = {};  // the file's name without the number of its block
};

// Of a name without prefix; none if no library has it, or for what Dinomaly does not run.
std::optional<Place> place_of(std::string_view name);

// Of the final norm and the mask token, which belong to an encoder, too.
std::optional<Place> place_of_unused(std::string_view name);

// Whether it is a head's, or of what only training has.
bool is_dropped(std::string_view name);

}  // namespace dinomaly
