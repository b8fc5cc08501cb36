#include "dinomaly/training/trainer.h"

#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/loss.h"
#include "nn/optim/clip_grad_norm.h"
#include "tensor/kernels.h"

namespace dinomaly {

namespace {

constexpr int64_t steps_read_at_once = 16;  // on a GPU

const std::string model_prefix = "model.", optimizer_prefix = "optimizer.";

// A tensor of the state, checked.
const Tensor& entry(const std::map<std::string, Tensor>& state, const std::string& name, const Shape& shape,
                    Dtype dtype, const std::string& source) {
  const auto found = state.find(name);
  check_input(found != state.end(), "{}: '{}' is missing", source, name);
  check_input(found->second.shape() == shape && found->second.dtype() == dtype,
              "{}: '{}' is {} {}, expected {} {}", source, name, found->second.dtype(), found->second.shape(),
              dtype, shape);
  return found->second;
}

}  // namespace

Trainer::Trainer(Dinomaly& model, FeatureStore& features, bool record)
    : model_(model),
      features_(features),
      sampler_(features.size(), model.config().batch, model.config().seed),
      dropout_(model.config().seed),
      parameters_(model.trained_parameters()),
      optimizer_(parameters_, {model.config().beta1, model.config().beta2, model.config().adam_eps,
                               model.config().weight_decay}),
      learning_rate_(model.config().schedule()),
      device_(parameters_.at(0).device()),
      may_record_(record && !device_.is_cpu()),
      numbers_(Tensor::empty({device_.is_cpu() ? 1 : steps_read_at_once, 2}, Dtype::f64, device_)) {
  announce_order();
}

void Trainer::announce_order() {
  const ShuffledSampler::State epoch = sampler_.state();
  features_.expect({epoch.order.begin() + static_cast<std::ptrdiff_t>(epoch.position), epoch.order.end()});
}

// The next batch and all that changes from step to step.
void Trainer::load_inputs() {
  Features batch = features_.gather(sampler_.next());
  if (!recording_) {
    inputs_.batch = std::move(batch);
  } else {
    inputs_.batch.bottleneck_input.copy_from(batch.bottleneck_input);
    for (size_t g = 0; g < batch.encoded.size(); ++g) inputs_.batch.encoded[g].copy_from(batch.encoded[g]);
  }
  const Config& config = model_.config();
  const int64_t points = inputs_.batch.batch() * inputs_.batch.rows * inputs_.batch.columns;
  const int64_t k = mined_points(points, mining_share(config, iteration_));
  if (!inputs_.mined_points.defined()) inputs_.mined_points = Tensor::empty({1}, Dtype::i64, device_);
  inputs_.mined_points.copy_from(Tensor::from(std::vector<int64_t>{k}, {1}));
  optimizer_.prepare(learning_rate_(iteration_));
}

void Trainer::compute() {
  const Config& config = model_.config();
  optimizer_.zero_grad();  // before the forward pass, which needs their memory
  const Reconstruction reconstruction = model_.reconstruct(inputs_.batch, dropout_);
  const Variable loss = hard_mining_cosine_loss(reconstruction, inputs_.mined_points, config.mining_factor);
  loss.backward();
  loss_ = loss.value();
  norm_and_clip_ = norm_and_clip_factor(parameters_, config.clip_norm);
  optimizer_.update(norm_and_clip_.slice(0, 1, 2));
}

void Trainer::replay() {
  recording_->replay(dropout_.offset() - recorded_at_);
  dropout_ = Generator(dropout_.seed(), dropout_.offset() + blocks_a_step_);
}

void Trainer::advance() {
  constexpr int64_t before_recording = 2;  // what is made at the first step is there at the second
  model_.train();
  load_inputs();
  if (!recording_ && may_record_ && steps_here_ >= before_recording) {
    const Generator before = dropout_;
    recording_ = kernels_for(device_).record([&] { compute(); });
    recorded_at_ = before.offset(), blocks_a_step_ = dropout_.offset() - before.offset();
    if (recording_) dropout_ = before;
    may_record_ = recording_ != nullptr;
  }
  if (recording_)
    replay();
  else
    compute(), inputs_.batch = {};
  if (static_cast<int64_t>(waiting_.size()) == numbers_.size(0)) read_numbers();
  const int64_t row = static_cast<int64_t>(waiting_.size());
  numbers_.slice(0, row, row + 1).slice(1, 0, 1).copy_from(loss_.reshape({1, 1}));
  numbers_.slice(0, row, row + 1).slice(1, 1, 2).copy_from(norm_and_clip_.slice(0, 0, 1).reshape({1, 1}));
  waiting_.push_back({iteration_, 0, learning_rate_(iteration_), 0});
  ++steps_here_, ++iteration_;
}

void Trainer::read_numbers() {
  const auto numbers = numbers_.to_vector<double>();
  for (size_t i = 0; i < waiting_.size(); ++i) {
    waiting_[i].loss = numbers[2 * i], waiting_[i].grad_norm = numbers[2 * i + 1];
    finished_.push_back(waiting_[i]);
  }
  waiting_.clear();
}

std::vector<TrainingStep> Trainer::finished(bool all) {
  const bool full = static_cast<int64_t>(waiting_.size()) == numbers_.size(0);
  if (full || (all && !waiting_.empty())) read_numbers();
  return std::exchange(finished_, {});
}

TrainingStep Trainer::step() {
  advance();
  return finished(true).back();
}

NamedTensors Trainer::state() {
  const ShuffledSampler::State order = sampler_.state();
  const std::vector<int64_t> counters{iteration_, order.position, static_cast<int64_t>(order.offset),
                                      static_cast<int64_t>(dropout_.offset())};
  NamedTensors result{{"counters", Tensor::from(counters, {4})},
                      {"order", Tensor::from(order.order, {features_.size()})}};
  for (const auto& [name, parameter] : model_.named_trained_parameters()) {
    result.emplace_back(model_prefix + name, parameter.value());
  }
  for (const auto& [name, tensor] : optimizer_.state()) result.emplace_back(optimizer_prefix + name, tensor);
  return result;
}

void Trainer::load_state(const std::map<std::string, Tensor>& state, const std::string& source) {
  const auto counters = entry(state, "counters", {4}, Dtype::i64, source).to_vector<int64_t>();
  const Tensor order = entry(state, "order", {features_.size()}, Dtype::i64, source);
  check_input(counters[0] >= 0 && counters[2] >= 0 && counters[3] >= 0, "{}: a counter is negative", source);
  for (const auto& [name, parameter] : model_.named_trained_parameters()) {
    entry(state, model_prefix + name, parameter.shape(), parameter.dtype(), source);
  }
  std::map<std::string, Tensor> of_optimizer;
  for (const auto& [name, tensor] : state) {
    if (name.starts_with(optimizer_prefix)) of_optimizer[name.substr(optimizer_prefix.size())] = tensor;
  }
  optimizer_.load_state(of_optimizer, source);
  sampler_.load_state({order.to_vector<int64_t>(), counters[1], static_cast<uint64_t>(counters[2])}, source);
  for (const auto& [name, parameter] : model_.named_trained_parameters()) {
    parameter.value().copy_from(state.at(model_prefix + name));
  }
  dropout_ = Generator(dropout_.seed(), static_cast<uint64_t>(counters[3]));
  iteration_ = counters[0];
  recording_.reset();  // the optimizer's state stands elsewhere now
  steps_here_ = 0;
}

}  // namespace dinomaly
