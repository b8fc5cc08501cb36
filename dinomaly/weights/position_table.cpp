#include "dinomaly/weights/position_table.h"

#include <cmath>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"
#include "tensor/ops.h"

namespace dinomaly {
namespace {

// G if `patches` is G x G, else 0.
int64_t side_of(int64_t patches) {
  if (patches < 1) return 0;
  const int64_t side = std::llround(std::sqrt(static_cast<double>(patches)));
  return side * side == patches ? side : 0;
}

// Adds the first rows to their tokens; pos_embed keeps the patches'.
void fold(std::map<std::string, Tensor>& tensors, int64_t registers, const std::string& source) {
  Tensor& table = tensors.at("pos_embed");
  const int64_t width = table.size(2);
  const auto add = [&](const std::string& name, int64_t begin, int64_t end) {
    const auto token = tensors.find(name);
    check_input(token != tensors.end() && token->second.shape() == Shape({1, end - begin, width}) &&
                    is_floating(token->second.dtype()) && is_floating(table.dtype()),
                "{}: {} does not fit rows {} to {} of pos_embed {}", source, name, begin, end - 1,
                table.shape());
    token->second = token->second + table.slice(1, begin, end).to(token->second.dtype());
  };
  add("cls_token", 0, 1);
  add("register_tokens", 1, 1 + registers);
  table = table.slice(1, 1 + registers, table.size(1)).contiguous();
}

}  // namespace

void read_position_table(std::map<std::string, Tensor>& tensors, bool cls_in_table, EncoderConfig& config,
                         const std::string& source) {
  const Tensor table = tensors.at("pos_embed");
  const int64_t rows = table.size(1), registers = config.registers;
  const bool may_lack_cls = registers > 0 && !cls_in_table;
  int64_t side = may_lack_cls ? side_of(rows) : 0;
  config.cls_in_position_table = side == 0;
  if (side == 0) side = side_of(rows - 1);
  if (side == 0 && may_lack_cls && side_of(rows - 1 - registers) > 0) {
    side = side_of(rows - 1 - registers);
    fold(tensors, registers, source);
    config.cls_in_position_table = false;
  }
  check_input(side > 0 || side_of(rows) == 0,
              "{}: pos_embed of shape {} has {} rows: CLS and {} patches, which are no square G x G", source,
              table.shape(), rows, rows - 1);
  check_input(side > 0, "{}: pos_embed of shape {} has {}, neither G x G nor 1 + G x G", source,
              table.shape(), counted(rows, "row"));
  config.grid_h = config.grid_w = side;
}

}  // namespace dinomaly
