// The work that is timed: the same calls as the programs that detect and train.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "bench/options.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/anomaly_map.h"
#include "nn/optim/optimizer.h"
#include "tensor/backend.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

class Workload {
 public:
  // Random or loaded weights and images. With --save-weights the file is written here, with what f32
  // computes. Throws InputError for a file that does not fit the options.
  explicit Workload(const BenchOptions& options);

  // One repetition: encode, reconstruct, map and score of the batch; or one training step. Returns after the
  // device has finished.
  void run();
  // What one forward pass without dropout computes: {"scores": [...]} or {"loss", "grad_norm"}, and with the
  // values of a --weights file how far they are away: {"map_error", "score_error"} or {"loss_error",
  // "grad_error"}. Errors are relative; the map's to its own spread, |map - expected| / |expected - mean|.
  nlohmann::json check();

  double flops_per_image() const;

 private:
  struct Expected {
    Tensor map, score, loss, grad_norm;  // undefined: not known
  };
  void load(const SafeTensors& file);
  void save(const std::filesystem::path& path);
  AnomalyMaps infer();
  Tensor train_loss();  // forward and backward, gradients left in the parameters
  void train_step();

  BenchOptions options_;
  EncoderConfig encoder_;
  std::unique_ptr<Dinomaly> model_;
  std::unique_ptr<StableAdamW> optimizer_;
  Generator dropout_;
  Tensor images_;
  Features features_;
  Expected expected_;
  int steps_ = 0;
  std::unique_ptr<Recording> recording_;  // of train_step(), where the device can
};

}  // namespace dinomaly
