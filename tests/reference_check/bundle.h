// Reference bundles: inputs and what the public implementations compute of them, in one safetensors file
// each. The metadata key "config" says which of three kinds a bundle is.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

struct CheckOptions {
  Dtype dtype = Dtype::f64;
  Device device;
};

// Collects errors by group and gives one line a group.
class Verdict {
 public:
  explicit Verdict(Dtype dtype) : dtype_(dtype) {}

  // |x - expected| / |expected| in L2; where |expected| is 0, |x - expected|. All throw Error naming the group
  // where the two have no elements or not the same number.
  void relative(const std::string& group, const Tensor& x, const Tensor& expected, double tolerance);
  // |x - expected| / |scale|.
  void relative_to(const std::string& group, const Tensor& x, const Tensor& expected, const Tensor& scale,
                   double tolerance);
  // The largest |x - expected| of any element.
  void absolute(const std::string& group, const Tensor& x, const Tensor& expected, double tolerance);
  // The tolerance of the dtype at hand; a negative one means: not compared in this dtype.
  double by_dtype(double f64, double f32, double bf16) const {
    return dtype_ == Dtype::f64 ? f64 : dtype_ == Dtype::f32 ? f32 : bf16;
  }
  // A line "NAME max relative error E tolerance T ok|FAIL" a group.
  std::string text() const;
  // Whether all groups are. Where nothing was compared, nothing is ok.
  bool ok() const;

 private:
  struct Group {
    std::string name;
    double error = 0, tolerance = 0;
    bool ok() const { return error <= tolerance; }  // not NaN
  };
  void add(const std::string& group, double error, double tolerance);

  Dtype dtype_;
  std::vector<Group> groups_;
};

void check_model_bundle(const SafeTensors& bundle, const nlohmann::json& config, const CheckOptions& options,
                        Verdict& verdict);
void check_images_bundle(const SafeTensors& bundle, const nlohmann::json& config, Verdict& verdict);
void check_metrics_bundle(const SafeTensors& bundle, Verdict& verdict);

}  // namespace dinomaly
