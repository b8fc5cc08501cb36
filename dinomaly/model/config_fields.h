// The one list of a config's fields, for what is done to each of them: reading and writing as JSON, checks.
#pragma once

#include "dinomaly/model/config.h"

namespace dinomaly {

// Calls visit(name, field) for each but the preset, from which others follow.
template <class ConfigType, class Visitor>
void for_each_field(ConfigType& c, Visitor visit) {
  visit("target_blocks", c.target_blocks);
  visit("remove_class_token", c.remove_class_token);
  visit("recentering", c.recentering);
  visit("feature_whitening", c.feature_whitening);
  visit("whitening_shrinkage", c.whitening_shrinkage);
  visit("dropout", c.dropout);
  visit("bottleneck_width", c.bottleneck_width);
  visit("bottleneck_bias", c.bottleneck_bias);
  visit("decoder_mlp_bias", c.decoder_mlp_bias);
  visit("decoder_depth", c.decoder_depth);
  visit("decoder_norm_eps", c.decoder_norm_eps);
  visit("softmax_attention", c.softmax_attention);
  visit("linear_attention_eps", c.linear_attention_eps);
  visit("init_std", c.init_std);
  visit("init_cut", c.init_cut);
  visit("encoder_groups", c.encoder_groups);
  visit("decoder_groups", c.decoder_groups);
  visit("mining_share", c.mining_share);
  visit("mining_steps", c.mining_steps);
  visit("mining_factor", c.mining_factor);
  visit("iterations", c.iterations);
  visit("batch", c.batch);
  visit("seed", c.seed);
  visit("learning_rate", c.learning_rate);
  visit("final_learning_rate", c.final_learning_rate);
  visit("lr_decay_ratio", c.lr_decay_ratio);
  visit("bottleneck_lr_factor", c.bottleneck_lr_factor);
  visit("warmup_steps", c.warmup_steps);
  visit("beta1", c.beta1);
  visit("beta2", c.beta2);
  visit("adam_eps", c.adam_eps);
  visit("weight_decay", c.weight_decay);
  visit("clip_norm", c.clip_norm);
  visit("amsgrad", c.amsgrad);
  visit("skip_not_finite", c.skip_not_finite);
  visit("resize_h", c.image.resize_h);
  visit("resize_w", c.image.resize_w);
  visit("crop_h", c.image.crop_h);
  visit("crop_w", c.image.crop_w);
  visit("channels", c.image.pixels.channels);
  visit("mean", c.image.mean);
  visit("std", c.image.std);
  visit("with_depth", c.with_depth);
  visit("exif_orientation", c.image.pixels.exif_orientation);
  visit("bit_depth", c.image.pixels.bit_depth);
  visit("map_size", c.map_size);
  visit("blur_size", c.blur_size);
  visit("blur_sigma", c.blur_sigma);
  visit("blur_reflects", c.blur_reflects);
  visit("score_ratio", c.score_ratio);
}

}  // namespace dinomaly
