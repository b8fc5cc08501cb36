// Words that a user may have meant.
#pragma once

#include <string>
#include <vector>

namespace dinomaly {

// "; did you mean 'x'?" with the one of `known` that is nearest to `word`, at most a third of its letters (and one
// at least) being inserted, left out, replaced or swapped with their neighbours; "" where none is that near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& known);

}  // namespace dinomaly
