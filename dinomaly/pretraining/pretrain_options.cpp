#include "dinomaly/pretraining/pretrain_options.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tensor/error.h"

namespace dinomaly {

namespace {
constexpr std::array<std::pair<const char*, Objective>, 4> objectives{{{"all", Objective::all},
                                                                       {"dense", Objective::dense},
                                                                       {"masked", Objective::masked},
                                                                       {"labels", Objective::labels}}};
}  // namespace

Objective parse_objective(const std::string& name) {
  for (const auto& [text, objective] : objectives) {
    if (name == text) return objective;
  }
  fail_input("--objective: '{}' is not all, dense, masked or labels", name);
}

std::string name_of(Objective objective) {
  for (const auto& [text, other] : objectives) {
    if (objective == other) return text;
  }
  return "";
}

EncoderConfig PretrainOptions::encoder() const {
  EncoderConfig config;
  config.width = width, config.depth = depth, config.heads = heads, config.patch = patch;
  config.registers = registers, config.hidden = 4 * width;
  config.layer_scale = config.rotary = true;
  config.cls_in_position_table = false;
  config.norm_eps = 1e-5;
  return config;
}

std::vector<int64_t> PretrainOptions::target_blocks() const {
  std::vector<int64_t> blocks;
  for (int64_t block = depth / 6; block < depth - depth / 6; ++block) blocks.push_back(block);
  return blocks;
}

std::string PretrainOptions::identity() const {
  return nlohmann::json{{"width", width},
                        {"depth", depth},
                        {"heads", heads},
                        {"patch", patch},
                        {"registers", registers},
                        {"crop", crop},
                        {"pairs", pairs},
                        {"scene", scene},
                        {"pool", pool},
                        {"fresh", fresh},
                        {"objective", name_of(objective)},
                        {"temperature", temperature},
                        {"ema_decay", ema_decay},
                        {"hidden_share", hidden_share},
                        {"variance", variance},
                        {"covariance", covariance},
                        {"learning_rate", learning_rate},
                        {"weight_decay", weight_decay},
                        {"warm_up", warm_up},
                        {"clip_norm", clip_norm},
                        {"seed", seed},
                        {"precision", fmt::format("{}", dtype)}}
      .dump();
}

void PretrainOptions::validate() const {
  check_input(width >= 4 && width <= 4096 && depth >= 1 && depth <= 100,
              "--width {} and --depth {}: impossible sizes", width, depth);
  check_input(heads >= 1 && width % heads == 0 && width / heads % 4 == 0,
              "--heads {}: it must divide the width, {}, into parts that 4 divides", heads, width);
  check_input(pairs >= 2 && pairs <= 4096, "--pairs {}: from 2 to 4096 are possible", pairs);
  const auto not_negative = [](const char* flag, double value, bool zero) {
    check_input(std::isfinite(value) && (value > 0 || (zero && value == 0)), "{}: {} is not {}", flag, value,
                zero ? "a number from 0 on" : "positive");
  };
  not_negative("--temperature", temperature, false);
  not_negative("--learning-rate", learning_rate, false);
  not_negative("--variance", variance, true);
  not_negative("--covariance", covariance, true);
  check_input(pool >= 1 && pool <= 100000, "--pool {}: from 1 to 100000 scenes are possible", pool);
  check_input(dtype == Dtype::bf16 || dtype == Dtype::f32, "--precision: bf16 or f32");
}

}  // namespace dinomaly
