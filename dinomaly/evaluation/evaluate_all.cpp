#include "dinomaly/evaluation/evaluate_all.h"

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

Dataset evaluable_part(const Dataset& dataset) {
  Dataset result = dataset;
  result.categories.clear();
  for (const Category& category : dataset.categories) {
    const std::string missing = missing_classes(category);
    if (!missing.empty()) {
      fmt::print("{}: {}; used for training, not evaluated\n", category.name, missing);
      continue;
    }
    if (!missing_for_evaluation(category).empty())
      fmt::print("{}: {}; no pixel metrics\n", category.name, missing_for_evaluation(category));
    result.categories.push_back(category);
  }
  return result;
}

std::vector<CategoryResult> evaluate_all(const Dinomaly& model, const Dataset& dataset) {
  std::vector<CategoryResult> results;
  for (const Category& category : dataset.categories) {
    results.push_back(evaluate(model, category, model.config().batch));
  }
  return results;
}

}  // namespace dinomaly
