#include "dinomaly/model/encoder.h"

#include <cmath>
#include <numbers>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/weights/rope_periods.h"
#include "nn/init.h"

namespace dinomaly {

EncoderBlock::EncoderBlock(const EncoderConfig& config)
    : norm1_(add<LayerNorm>("norm1", config.width, config.norm_eps)),
      attn_(add<Attention>("attn", config.width, config.heads)),
      ls1_(config.layer_scale ? &add<LayerScale>("ls1", config.width) : nullptr),
      norm2_(add<LayerNorm>("norm2", config.width, config.norm_eps)) {
  if (config.ffn == EncoderConfig::Ffn::mlp)
    mlp_ = &add<Mlp>("mlp", config.width, config.hidden);
  else
    mlp_ = &add<SwiGLU>("mlp", config.width, config.hidden);
  if (config.layer_scale) ls2_ = &add<LayerScale>("ls2", config.width);
}

Variable EncoderBlock::operator()(const Variable& x, const RopeTables& tables) const {
  const Variable middle = attn_(norm1_(x), {x, ls1_ ? ls1_->gamma : Variable()}, tables);
  return (*mlp_)(norm2_(middle), {middle, ls2_ ? ls2_->gamma : Variable()});
}

Encoder::Encoder(const EncoderConfig& config, Preset preset)
    : config_(config),
      preset_(preset),
      patch_embed_(add<PatchEmbed>("patch_embed", config.patch, config.width, config.channels)) {
  cls_token_ = parameter("cls_token", Tensor::zeros({1, 1, config.width}));
  if (config.rotary) {
    periods_ = buffer("rope_embed.periods", rope_periods(config.width / config.heads));
  } else {
    const int64_t positions = config.grid_h * config.grid_w + (config.cls_in_position_table ? 1 : 0);
    pos_embed_ = parameter("pos_embed", Tensor::zeros({1, positions, config.width}));
  }
  if (config.registers > 0) {
    register_tokens_ = parameter(config.rotary ? "storage_tokens" : "register_tokens",
                                 Tensor::zeros({1, config.registers, config.width}));
  }
  for (int64_t i = 0; i < config.depth; ++i)
    blocks_.push_back(&add<EncoderBlock>(fmt::format("blocks.{}", i), config));
}

// The patches' rows of the position table, interpolated to another grid: (1, rows * columns, D).
Variable Encoder::position_table(int64_t rows, int64_t columns) const {
  const int64_t prefix = config_.cls_in_position_table ? 1 : 0;
  Variable patches = slice(pos_embed_, 1, prefix, pos_embed_.size(1));
  if (rows == config_.grid_h && columns == config_.grid_w) return patches;
  InterpolateArgs args{.mode = InterpolateMode::bicubic};
  if (preset_ != Preset::anomalib) {  // the authors' guard against rounding: n + 0.1 instead of n
    args.scale_y = static_cast<double>(config_.grid_h) / (static_cast<double>(rows) + 0.1);
    args.scale_x = static_cast<double>(config_.grid_w) / (static_cast<double>(columns) + 0.1);
  }
  const Variable grid = reshape(transpose(patches, 1, 2), {1, config_.width, config_.grid_h, config_.grid_w});
  const Variable resized = interpolate(grid, rows, columns, args);
  return transpose(reshape(resized, {1, config_.width, rows * columns}), 1, 2);
}

namespace {

// The angles of patch (r, c): 2 pi y / period and 2 pi x / period, each axis from -1 to 1 by its own length. Computed
// in f64, for the caller to round once.
RopeTables compute_rope_tables(const std::vector<float>& periods, int64_t rows, int64_t columns) {
  const auto count = static_cast<int64_t>(periods.size());
  const Tensor cosines = Tensor::empty({rows * columns, 2 * count}, Dtype::f64),
               sines = Tensor::empty_like(cosines);
  const auto place = [](int64_t index, int64_t length) {
    return 2 * (static_cast<double>(index) + 0.5) / static_cast<double>(length) - 1;
  };
  for (int64_t i = 0; i < rows * columns; ++i) {
    for (int64_t j = 0; j < 2 * count; ++j) {
      const double at = j < count ? place(i / columns, rows) : place(i % columns, columns);
      const double angle =
          2 * std::numbers::pi * at / static_cast<double>(periods[static_cast<size_t>(j % count)]);
      cosines.data<double>()[i * 2 * count + j] = std::cos(angle);
      sines.data<double>()[i * 2 * count + j] = std::sin(angle);
    }
  }
  return {cosines, sines};
}

}  // namespace

RopeTables Encoder::rope_tables(int64_t rows, int64_t columns) const {
  if (!config_.rotary) return {};
  const std::vector<float> periods = periods_.value().to_vector<float>();
  const std::lock_guard lock(kept_tables_mutex_);
  KeptTables& kept = kept_tables_;
  const bool fits = kept.rows == rows && kept.columns == columns && kept.periods == periods &&
                    kept.tables.cosines.dtype() == cls_token_.dtype() &&
                    kept.tables.cosines.device() == cls_token_.device();
  if (!fits) {
    const RopeTables exact = compute_rope_tables(periods, rows, columns);
    const auto as_model = [&](const Tensor& x) { return x.to(cls_token_.dtype()).to(cls_token_.device()); };
    kept = {rows, columns, periods, {as_model(exact.cosines), as_model(exact.sines)}};
  }
  return kept.tables;
}

// Tokens [CLS, registers, patches]; a table's positions are added before the registers are inserted.
Variable Encoder::embed(const Variable& images, const HiddenPatches& hidden) const {
  const int64_t batch = images.size(0);
  Variable patches = patch_embed_(images);
  if (hidden.places.defined()) patches = where(hidden.places.unsqueeze(2), hidden.token, patches);
  if (!config_.rotary) {
    patches = patches + position_table(images.size(2) / config_.patch, images.size(3) / config_.patch);
  }
  Variable cls = cls_token_;
  if (config_.cls_in_position_table) cls = cls + slice(pos_embed_, 1, 0, 1);
  std::vector<Variable> parts{expand(cls, {batch, 1, config_.width})};
  if (config_.registers > 0)
    parts.push_back(expand(register_tokens_, {batch, config_.registers, config_.width}));
  parts.push_back(patches);
  return cat(parts, 1);
}

void Encoder::features(const Variable& images, const std::vector<int64_t>& targets,
                       const std::function<void(size_t, const Variable&)>& sink,
                       const HiddenPatches& hidden) const {
  Variable x = embed(images, hidden);
  const RopeTables tables = rope_tables(images.size(2) / config_.patch, images.size(3) / config_.patch);
  size_t next = 0;
  for (int64_t i = 0; next < targets.size(); ++i) {
    check(i < config_.depth, "encoder: target block {} of an encoder of {} blocks", targets[next],
          config_.depth);
    x = (*blocks_[static_cast<size_t>(i)])(x, tables);
    if (targets[next] == i) sink(next++, x);
  }
}

void load_encoder_weights(Encoder& encoder, const EncoderWeights& weights, const std::string& source) {
  encoder.load_state_dict({weights.tensors.begin(), weights.tensors.end()}, source);
  encoder.set_requires_grad(false);
  encoder.eval();
}

// Projections as a fresh ViT has them (Xavier); a small position table, so that content decides; LayerScale
// is left out. Such features are random projections of what a patch and its surroundings look like.
EncoderWeights random_encoder(const EncoderConfig& config, Generator& generator) {
  Encoder model(config, Preset::paper);
  for (auto& [name, parameter] : model.named_parameters()) {
    if (name == "cls_token" || name == "register_tokens" || name == "storage_tokens" || name == "pos_embed") {
      truncated_normal(parameter, 0.02, 0.04, generator);
    } else if (parameter.shape().rank() >= 2) {
      xavier_uniform(parameter, generator);
    }
  }
  return {config, model.state_dict()};
}

}  // namespace dinomaly
