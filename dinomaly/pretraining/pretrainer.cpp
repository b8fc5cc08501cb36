#include "dinomaly/pretraining/pretrainer.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "dinomaly/base/stopwatch.h"
#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/schedule.h"
#include "nn/self_supervision.h"

namespace dinomaly {

namespace {

const std::string student_prefix = "student.", average_prefix = "average.", decayed_prefix = "decayed.",
                  plain_prefix = "plain.";

std::vector<Variable> parameters_of_rank(const Module& module, bool matrices) {
  std::vector<Variable> result;
  for (const auto& [name, parameter] : module.named_parameters()) {
    const bool is_matrix = parameter.shape().rank() >= 2 && name.ends_with(".weight");
    if (is_matrix == matrices) result.push_back(parameter);
  }
  return result;
}

Variable as_f32(const Variable& x) { return cast(x, Dtype::f32); }

// `value`, whose number is kept.
Variable noted(double& number, const Variable& value) {
  number = value.item();
  return value;
}

// Without weight and bias, in f32.
Variable standardised(const Variable& x) {
  const int64_t width = x.shape().back();
  return layer_norm(as_f32(x), Tensor::ones({width}), Tensor::zeros({width}), 1e-5);
}

Variable mean_of(const std::vector<Variable>& all) {
  Variable sum = all.at(0);
  for (size_t i = 1; i < all.size(); ++i) sum = sum + all[i];
  return sum * (1.0 / static_cast<double>(all.size()));
}

std::vector<Variable> standardised(const std::vector<Variable>& all) {
  std::vector<Variable> result;
  for (const Variable& x : all) result.push_back(standardised(x));
  return result;
}

double effective_rank(const Tensor& x) {
  const Tensor centred = x - reduce(Reduce::mean, x, {0}, true);
  const Tensor products = matmul(centred, true, centred, false);
  double trace = 0;
  for (int64_t i = 0; i < products.size(0); ++i) trace += products.data<float>()[i * products.size(0) + i];
  return trace * trace / reduce(Reduce::sum, products * products).item();
}

// Mean over the hidden patches of the squared difference.
Variable error_where_hidden(const Variable& predicted, const Tensor& wanted, const Tensor& hidden) {
  const Tensor places = hidden.reshape({-1, 1}).to(Dtype::f32);
  const double count =
      std::max(reduce(Reduce::sum, places).item(), 1.0) * static_cast<double>(wanted.size(1));
  const Variable difference = (predicted - wanted) * places;
  return sum(difference * difference) * (1 / count);
}

// VICReg's penalty, the mean over the target blocks; notes its terms and the rank of the blocks' mean.
Variable penalty_of(const std::vector<Variable>& targets, const PretrainOptions& options,
                    PretrainStep& numbers) {
  numbers.rank = effective_rank(mean_of(targets).value());
  const double share = 1.0 / static_cast<double>(targets.size());
  Variable penalty;
  for (const Variable& target : targets) {
    const auto [variance, covariance] = variance_covariance(target);
    numbers.variance += share * variance.item();
    numbers.covariance += share * covariance.item();
    const Variable terms = variance * (share * options.variance) + covariance * (share * options.covariance);
    penalty = penalty.defined() ? penalty + terms : terms;
  }
  return penalty;
}

// Each patch of one crop finds the patch of the other crop that shows the same point, in both directions.
Variable contrast_of(const Variable& queries, const Tensor& keys, const CropPairs& batch,
                     double temperature) {
  const int64_t half = queries.size(0) / 2;
  return 0.5 * (info_nce(slice(queries, 0, 0, half), keys.slice(0, half, 2 * half), batch.first_to_second,
                         temperature) +
                info_nce(slice(queries, 0, half, 2 * half), keys.slice(0, 0, half), batch.second_to_first,
                         temperature));
}

}  // namespace

Pretrainer::Pretrainer(const PretrainOptions& options)
    : options_(options),
      generator_(options.seed),
      student_(options, generator_),
      teacher_(options, generator_),
      average_(student_, options.ema_decay),
      parameters_(student_.parameters()),
      decayed_(parameters_of_rank(student_, true), {0.9, 0.99, 1e-8, options.weight_decay, false}),
      plain_(parameters_of_rank(student_, false), {0.9, 0.99, 1e-8, 0, false}),
      pool_(options.pool, options.scene, options.seed) {
  average_.copy_to(teacher_);
}

Pretrainer::Lesson Pretrainer::teach(const Variable& crops) const {
  const NoGrad guard;
  const PatchFeatures known = teacher_.features(crops);
  return {as_f32(teacher_.project(known.last)).value(),
          standardised(mean_of(standardised(known.targets))).value()};
}

Variable Pretrainer::loss_of(const CropPairs& batch, PretrainStep& numbers) const {
  const Objective objective = options_.objective;
  const bool predicts = objective == Objective::all || objective == Objective::masked;
  const bool contrasts = objective == Objective::all || objective == Objective::dense;
  const Variable crops(batch.crops.to(options_.dtype));
  const PatchFeatures seen = student_.features(crops, predicts ? batch.hidden : Tensor());
  if (objective == Objective::labels)
    return noted(numbers.labels, cross_entropy(as_f32(student_.classify(seen.last)), batch.families));

  // [snippet: losses]
  const Lesson lesson = teach(crops);
  Variable loss = penalty_of(standardised(seen.targets), options_, numbers);
  if (contrasts) {
    const Variable queries = as_f32(student_.project(seen.last));
    loss = loss + noted(numbers.contrast, contrast_of(queries, lesson.keys, batch, options_.temperature));
  }
  if (predicts) {
    const Variable predicted = as_f32(student_.predict(seen.last));
    loss = loss + noted(numbers.masked, error_where_hidden(predicted, lesson.features, batch.hidden));
  }
  // [end]
  return loss;
}

PretrainStep Pretrainer::step(double progress) {
  const Stopwatch watch;
  PretrainStep numbers;
  pool_.advance_to(pool_.count() - 1 + steps_ * options_.fresh);
  const CropPairs batch = make_crop_pairs(options_, pool_, steps_);
  numbers.render_seconds = watch.seconds();

  constexpr int64_t resolution = 1'000'000;  // of the schedule: the run may be measured in minutes
  const WarmCosineSchedule learning_rate{options_.learning_rate, 0.01 * options_.learning_rate,
                                         static_cast<int64_t>(options_.warm_up * resolution), resolution};
  numbers.learning_rate = learning_rate(static_cast<int64_t>(progress * resolution));
  decayed_.zero_grad();
  plain_.zero_grad();
  const Variable loss = loss_of(batch, numbers);
  loss.backward();
  numbers.loss = loss.item();
  const double norm = grad_norm(parameters_);
  check_input(std::isfinite(numbers.loss) && std::isfinite(norm),
              "pretraining diverged in step {}: loss {}, gradient {}", steps_, numbers.loss, norm);
  const double factor = clip_factor(norm, options_.clip_norm);
  decayed_.step(numbers.learning_rate, factor);
  plain_.step(numbers.learning_rate, factor);
  average_.update(student_);
  average_.copy_to(teacher_);
  ++steps_;
  numbers.seconds = watch.seconds();
  return numbers;
}

NamedTensors Pretrainer::state() {
  NamedTensors result{{"steps", Tensor::from(std::vector<int64_t>{steps_}, {1})}};
  const auto add = [&](const std::string& prefix, const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) result.emplace_back(prefix + name, tensor);
  };
  add(student_prefix, student_.state_dict());
  add(average_prefix, average_.state());
  add(decayed_prefix, decayed_.state());
  add(plain_prefix, plain_.state());
  return result;
}

void Pretrainer::load_state(const std::map<std::string, Tensor>& state, const std::string& source) {
  const auto part = [&](const std::string& prefix) {
    std::map<std::string, Tensor> found;
    for (const auto& [name, tensor] : state) {
      if (name.starts_with(prefix)) found[name.substr(prefix.size())] = tensor;
    }
    return found;
  };
  const auto steps = state.find("steps");
  check_input(steps != state.end() && steps->second.numel() == 1 && steps->second.item() >= 0,
              "{}: the number of steps is missing", source);
  student_.load_state_dict(part(student_prefix), source);
  average_.load_state(part(average_prefix), source);
  decayed_.load_state(part(decayed_prefix), source);
  plain_.load_state(part(plain_prefix), source);
  average_.copy_to(teacher_);
  steps_ = static_cast<int64_t>(steps->second.item());
}

}  // namespace dinomaly
