#include "bench/workload.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "bench/flops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/model/quantized_weights.h"
#include "nn/init.h"
#include "nn/optim/clip_grad_norm.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/profiler.h"

namespace dinomaly {

namespace {

constexpr double learning_rate = 2e-4;      // the schedule's last
constexpr int64_t step_in_schedule = 5000;  // past the mining ramp

double norm_of(const Tensor& x) { return std::sqrt(reduce(Reduce::sum, x * x).item()); }

// |x - expected| / |expected - mean of expected|.
double spread_error(const Tensor& x, const Tensor& expected) {
  const Tensor reference = expected.to(Dtype::f64);
  const Tensor mean = reduce(Reduce::mean, reference);
  return norm_of(x.to(Device::cpu()).to(Dtype::f64) - reference) / norm_of(reference - mean);
}

double relative_error(double x, double expected) { return std::abs(x - expected) / std::abs(expected); }

}  // namespace

Workload::Workload(const BenchOptions& options) : options_(options), encoder_(encoder_config(options.arch)) {
  Config config;
  config.seed = options.seed;
  config.batch = options.batch;
  config.image.resize_h = config.image.resize_w = config.image.crop_h = config.image.crop_w = options.size;
  model_ = std::make_unique<Dinomaly>(encoder_, config,
                                      options.weights ? Dinomaly::Start::loaded : Dinomaly::Start::drawn);
  if (!options.train) model_->set_requires_grad(false);
  Generator generator(options.seed);
  if (options.weights) {
    model_->encoder().set_requires_grad(false);
    load(SafeTensors::load(*options.weights));
  } else {
    EncoderWeights weights = random_encoder(encoder_, generator);
    for (auto& [name, tensor] : weights.tensors) {
      if (name.ends_with(".gamma")) tensor = Tensor::uniform(tensor.shape(), 0.1, 0.5, generator);
    }
    load_encoder_weights(model_->encoder(), weights, "random weights");
    images_ = Tensor::normal({options.batch, 3, options.size, options.size}, 0, 1, generator);
  }
  if (options.save_weights) save(*options.save_weights);
  if (options.int8) quantize(*model_, {images_});
  model_->to(options.precision);
  model_->to(options.device);
  images_ = images_.to(options.device);
  if (!options.train) return;
  const Config& used = model_->config();
  optimizer_ = std::make_unique<StableAdamW>(
      model_->trained_parameters(),
      StableAdamWOptions{used.beta1, used.beta2, used.adam_eps, used.weight_decay, used.amsgrad});
  if (!options.kept_features) return;
  features_ = model_->encode(images_);
  backend_for(options.device).trim();  // as a training run does: the encoder has done its work
}

void Workload::load(const SafeTensors& file) {
  const std::string source = file.path().string();
  std::map<std::string, Tensor> weights;
  for (const std::string& name : file.names()) {
    if (name.starts_with("input/") || name.starts_with("expect/")) continue;
    weights[name] = file.get(name);
  }
  model_->load_state_dict(weights, source);
  images_ = file.get("input/images");
  const Shape wanted{options_.batch, 3, options_.size, options_.size};
  check_input(images_.shape() == wanted && images_.dtype() == Dtype::f32,
              "{}: its images are {} of {}, not {} of f32", source, images_.shape(), images_.dtype(), wanted);
  const auto optional = [&](const std::string& name, const Shape& shape) {
    if (!file.contains(name)) return Tensor();
    const Tensor value = file.get(name);
    check_input(value.shape() == shape && value.dtype() == Dtype::f32, "{}: {} is {} of {}", source, name,
                value.shape(), value.dtype());
    return value;
  };
  expected_.map = optional("expect/map", {options_.batch, options_.size, options_.size});
  expected_.score = optional("expect/score", {options_.batch});
  expected_.loss = optional("expect/loss", {1});
  expected_.grad_norm = optional("expect/grad_norm", {1});
}

void Workload::save(const std::filesystem::path& path) {
  NamedTensors tensors = model_->state_dict();
  tensors.emplace_back("input/images", images_);
  if (options_.train) {
    model_->eval();
    const double loss = train_loss().item();
    const double norm = grad_norm(model_->trained_parameters());
    for (const Variable& parameter : model_->trained_parameters()) parameter.zero_grad();
    tensors.emplace_back("expect/loss", Tensor::full({1}, loss));
    tensors.emplace_back("expect/grad_norm", Tensor::full({1}, norm));
  } else {
    NoGrad no_recording;
    model_->eval();
    const Reconstruction reconstruction = model_->reconstruct(model_->encode(images_), dropout_);
    const AnomalyMaps maps = anomaly_maps(reconstruction, options_.size, options_.size, model_->config());
    Config mirrored = model_->config();  // anomalib continues the map by its mirror image before it blurs
    mirrored.blur_reflects = true;
    const AnomalyMaps others = anomaly_maps(reconstruction, options_.size, options_.size, mirrored);
    tensors.emplace_back("expect/map", maps.map);
    tensors.emplace_back("expect/score", maps.score);
    tensors.emplace_back("expect/score_anomalib", others.score);
  }
  save_safetensors(path, tensors, {{"config", options_.to_json().dump()}});
}

AnomalyMaps Workload::infer() {
  NoGrad no_recording;
  model_->eval();
  const Reconstruction reconstruction = model_->reconstruct(model_->encode(images_), dropout_);
  return anomaly_maps(reconstruction, options_.size, options_.size, model_->config());
}

Tensor Workload::train_loss() {
  const Config& config = model_->config();
  for (const Variable& parameter : model_->trained_parameters()) parameter.zero_grad();
  const Features features = features_.bottleneck_input.defined() ? features_ : model_->encode(images_);
  const Reconstruction reconstruction = model_->reconstruct(features, dropout_);
  const Variable loss =
      hard_mining_cosine_loss(reconstruction, mining_share(config, step_in_schedule), config.mining_factor);
  loss.backward();
  return loss.value();
}

void Workload::train_step() {
  train_loss();
  const Tensor norm_and_clip = norm_and_clip_factor(model_->trained_parameters(), model_->config().clip_norm);
  optimizer_->update(norm_and_clip.slice(0, 1, 2));
}

void Workload::run() {
  if (options_.train) {
    model_->train();
    optimizer_->prepare(learning_rate);
    if (++steps_ == 3) recording_ = backend_for(options_.device).record([&] { train_step(); });
    if (recording_ && !Profiler::running())  // a replay would not show its kernels
      recording_->replay(0);                 // the same dropout each time
    else
      train_step();
  } else {
    infer();
  }
  backend_for(options_.device).synchronize();
}

nlohmann::json Workload::check() {
  nlohmann::json result;
  if (options_.train) {
    model_->eval();
    const double loss = train_loss().item();
    const double norm = grad_norm(model_->trained_parameters());
    result = {{"loss", loss}, {"grad_norm", norm}};
    if (expected_.loss.defined()) result["loss_error"] = relative_error(loss, expected_.loss.item());
    if (expected_.grad_norm.defined())
      result["grad_error"] = relative_error(norm, expected_.grad_norm.item());
    return result;
  }
  const AnomalyMaps maps = infer();
  const std::vector<double> scores = maps.score.to_vector<double>();
  result["scores"] = scores;
  if (expected_.map.defined()) result["map_error"] = spread_error(maps.map, expected_.map);
  if (expected_.score.defined()) {
    const std::vector<double> wanted = expected_.score.to_vector<double>();
    double worst = 0;
    for (size_t i = 0; i < wanted.size(); ++i) worst = std::max(worst, relative_error(scores[i], wanted[i]));
    result["score_error"] = worst;
  }
  return result;
}

double Workload::flops_per_image() const {
  const int64_t side = options_.size / encoder_.patch;
  const Flops flops = flops_of(encoder_, model_->config(), side, side);
  const double encode = options_.kept_features ? 0 : flops.encode;
  return encode + flops.reconstruct + (options_.train ? flops.reconstruct_backward : 0);
}

}  // namespace dinomaly
