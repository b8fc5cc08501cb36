#include "dinomaly/training/trainer.h"

#include <cmath>
#include <utility>

#include "autograd/grad_mode.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/training/fit_whitening.h"
#include "dinomaly/weights/key_report.h"
#include "nn/optim/clip_grad_norm.h"

namespace dinomaly {

namespace {

const std::string model_prefix = "model.", optimizer_prefix = "optimizer.",
                  whitening_prefix = "model.whitening.";

// It was found from the features, and a run that goes on shall not need them all again.
NamedTensors whitening_state(const Dinomaly& model) {
  NamedTensors result;
  if (model.whitening() == nullptr) return result;
  for (const auto& [name, tensor] : model.whitening()->state_dict())
    result.emplace_back(whitening_prefix + name, tensor);
  return result;
}

void load_whitening(Dinomaly& model, const std::map<std::string, Tensor>& state, const std::string& source) {
  if (model.whitening() == nullptr) return;
  std::map<std::string, Tensor> own;
  for (const auto& [name, tensor] : state) {
    if (name.starts_with(whitening_prefix)) own[name.substr(whitening_prefix.size())] = tensor.clone();
  }
  model.whitening()->load_state_dict(own, source);
}

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

StableAdamW make_optimizer(const Dinomaly& model) {
  const Config& config = model.config();
  ParameterGroup first{{}, config.bottleneck_lr_factor}, others;
  for (const auto& [name, parameter] : model.named_trained_parameters())
    (name.starts_with("bottleneck.0.") ? first : others).parameters.push_back(parameter);
  return StableAdamW({first, others},
                     {config.beta1, config.beta2, config.adam_eps, config.weight_decay, config.amsgrad});
}

void check_reconstructs(const Dinomaly& model, const Features& batch, int64_t iteration) {
  const double loss = no_grad([&] { return hard_mining_cosine_loss(model.reconstruct(batch), 0, 1).item(); });
  check_input(std::isfinite(loss),
              "training diverged in iteration {}: the loss after it is {}; a lower learning_rate helps",
              iteration, loss);
}

Trainer::Trainer(Dinomaly& model, FeatureStore& features, bool record, Communicator& processes)
    : model_(model),
      features_(features),
      processes_(processes),
      shared_features_(features, processes),
      share_(share_of_batch(model.config().batch, processes.rank(), processes.size())),
      draws_(features.samples(), model.config().seed),
      sampler_(draws_.count(), draws_.in_batch(model.config().batch), model.config().seed),
      dropout_(model.config().seed),
      parameters_(model.trained_parameters()),
      exchange_(parameters_, processes),
      optimizer_(make_optimizer(model)),
      learning_rate_(model.config().schedule()),
      step_(parameters_.at(0).device(), record && processes.size() == 1),
      numbers_(parameters_.at(0).device(), model.config().skip_not_finite) {
  processes_.prepare(parameters_.at(0).device());
  model_.train();
  dropout_.take_part(share_.first, share_.own, share_.all);
  expect_coming();
}

void Trainer::expect_coming() {
  if (processes_.size() == 1)
    features_.expect(draws_.images(sampler_.remaining(), 0));
  else
    features_.expect_only(coming());
}

void Trainer::fit_whitening() {
  dinomaly::fit_whitening(model_, shared_features_);
  expect_coming();
}

std::vector<int64_t> Trainer::coming() const {
  const std::vector<int64_t> draws = sampler_.remaining();
  const auto batch = static_cast<std::ptrdiff_t>(draws_.in_batch(share_.all));
  std::vector<int64_t> result;
  for (auto begin = draws.begin(); draws.end() - begin >= batch; begin += batch) {
    const std::vector<int64_t> images = draws_.images({begin, begin + batch}, begin - draws.begin());
    const auto own = images.begin() + static_cast<std::ptrdiff_t>(share_.first);
    result.insert(result.end(), own, own + static_cast<std::ptrdiff_t>(share_.own));
  }
  return result;
}

void Trainer::advance() {
  const Config& config = model_.config();
  last_batch_ = draws_.images(sampler_.next(), iteration_ * config.batch);
  Features batch = shared_features_.gather(last_batch_, share_, iteration_);
  const int64_t points = share_.all * batch.rows * batch.columns;
  const int64_t k = mined_points(points, mining_share(config, iteration_));
  const double learning_rate = learning_rate_(iteration_);
  optimizer_.prepare(learning_rate);
  step_.run({std::move(batch), Tensor::from(std::vector<int64_t>{k}, {1})}, dropout_,
            [this](const StepInputs& inputs) { compute(inputs); });
  for (const Variable& parameter : parameters_) parameter.value().mark_written();  // a replay does not say so
  numbers_.add(iteration_, learning_rate, loss_, norm_and_clip_.slice(0, 0, 1));
  ++iteration_;
}

// The paper's step. It reads nothing on the host, so that a GPU can record it.
void Trainer::compute(const StepInputs& inputs) {
  const Config& config = model_.config();
  optimizer_.zero_grad();  // before the forward pass, which needs their memory
  const Reconstruction reconstruction = model_.reconstruct(inputs.batch, dropout_);
  const Variable loss =
      hard_mining_cosine_loss(reconstruction, inputs.mined_points, config.mining_factor, share_, processes_);
  loss.backward();
  exchange_.finish();
  loss_ = loss.value();
  if (processes_.size() > 1) {
    loss_ = loss_.to(Dtype::f64);
    processes_.all_reduce(loss_);
  }
  norm_and_clip_ = norm_and_clip_factor(parameters_, config.clip_norm);
  optimizer_.update(norm_and_clip_.slice(0, 1, 2));
}

void Trainer::check_sound() {
  if (sound_at_ == iteration_) return;
  check_finite(state(), fmt::format("training diverged in iteration {}", iteration_ - 1));
  if (!last_batch_.empty())
    check_reconstructs(model_, shared_features_.gather(last_batch_, share_, iteration_ - 1), iteration_ - 1);
  sound_at_ = iteration_;
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
                      {"order", Tensor::from(order.order, {draws_.count()})}};
  for (const auto& [name, parameter] : model_.named_trained_parameters()) {
    result.emplace_back(model_prefix + name, parameter.value());
  }
  for (const auto& [name, tensor] : whitening_state(model_)) result.emplace_back(name, tensor);
  for (const auto& [name, tensor] : optimizer_.state()) result.emplace_back(optimizer_prefix + name, tensor);
  return result;
}

void Trainer::load_state(const std::map<std::string, Tensor>& state, const std::string& source) {
  const auto counters = entry(state, "counters", {4}, Dtype::i64, source).to_vector<int64_t>();
  const Tensor order = entry(state, "order", {draws_.count()}, Dtype::i64, source);
  check_input(counters[0] >= 0 && counters[2] >= 0 && counters[3] >= 0, "{}: a counter is negative", source);
  for (const auto& [name, parameter] : model_.named_trained_parameters()) {
    entry(state, model_prefix + name, parameter.shape(), parameter.dtype(), source);
  }
  for (const auto& [name, tensor] : whitening_state(model_))
    entry(state, name, tensor.shape(), tensor.dtype(), source);
  std::map<std::string, Tensor> of_optimizer;
  for (const auto& [name, tensor] : state) {
    if (name.starts_with(optimizer_prefix)) of_optimizer[name.substr(optimizer_prefix.size())] = tensor;
  }
  optimizer_.load_state(of_optimizer, source);
  sampler_.load_state({order.to_vector<int64_t>(), counters[1], static_cast<uint64_t>(counters[2])}, source);
  for (const auto& [name, parameter] : model_.named_trained_parameters()) {
    parameter.value().copy_from(state.at(model_prefix + name));
  }
  load_whitening(model_, state, source);
  dropout_ = Generator(dropout_.seed(), static_cast<uint64_t>(counters[3]));
  dropout_.take_part(share_.first, share_.own, share_.all);
  iteration_ = counters[0];
  last_batch_.clear();
  step_.reset();  // the optimizer's state stands elsewhere now
}

}  // namespace dinomaly
