// Position tables of encoders: square grids, with rows for CLS, registers and a distillation token, or without.
#include <doctest/doctest.h>

#include <map>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/encoder.h"
#include "dinomaly/weights/encoder_weights.h"
#include "tensor/ops.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

using TensorsByName = std::map<std::string, Tensor>;

// A small random encoder whose table has so many rows.
TensorsByName encoder_with_rows(int64_t registers, int64_t rows) {
  EncoderConfig shape;
  shape.width = 8, shape.heads = 2, shape.depth = 2, shape.patch = 2, shape.hidden = 12;
  shape.registers = registers, shape.grid_h = shape.grid_w = 3;
  Generator generator(9);
  const EncoderWeights weights = random_encoder(shape, generator);
  TensorsByName tensors(weights.tensors.begin(), weights.tensors.end());
  tensors["pos_embed"] = Tensor::normal({1, rows, 8}, 0, 1, generator);
  return tensors;
}

std::string error_of_table(const TensorsByName& tensors) {
  return input_error([&] { load_encoder(tensors, "file", 2); });
}

// With rows for all tokens: the same sums as those that the blocks see. `names`: with the registers' own name.
void check_folded(const TensorsByName& tensors, const TensorsByName& names, int64_t registers) {
  const EncoderWeights weights = load_encoder(tensors, "file", 2);
  CHECK(weights.config.registers == registers);
  CHECK(weights.config.grid_h == 3);
  CHECK_FALSE(weights.config.cls_in_position_table);
  const TensorsByName loaded(weights.tensors.begin(), weights.tensors.end());
  const Tensor table = tensors.at("pos_embed");
  const auto sum = [&](const std::string& name, int64_t begin, int64_t end) {
    return (names.at(name) + table.slice(1, begin, end)).to_vector<float>();
  };
  CHECK(loaded.at("cls_token").to_vector<float>() == sum("cls_token", 0, 1));
  CHECK(loaded.at("register_tokens").to_vector<float>() == sum("register_tokens", 1, 1 + registers));
  CHECK(loaded.at("pos_embed").to_vector<float>() ==
        table.slice(1, 1 + registers, table.size(1)).contiguous().to_vector<float>());
}

}  // namespace

TEST_CASE("position table: what is no square grid is refused with its number of rows") {
  // 1 + 3 x 5, 1 + 2 x 4 and 1 + 4 x 6 patches are not 4 x 4, 3 x 3 and 5 x 5.
  for (const int64_t count : {16, 9, 25, 196}) {
    const std::string message = error_of_table(encoder_with_rows(0, count));
    CHECK_MESSAGE(
        contains(message, fmt::format("pos_embed of shape (1, {}, 8) has {} rows: CLS and {} patches", count,
                                      count, count - 1)),
        message);
    TensorsByName meta = encoder_with_rows(4, count);
    CHECK(error_of_table(meta).empty());  // timm's register models
    meta["mask_token"] = Tensor::zeros({1, 8});
    CHECK(contains(error_of_table(meta), "which are no square"));
  }
  for (const int64_t count : {1, 3, 7, 12, 33})
    CHECK(contains(error_of_table(encoder_with_rows(0, count)), "pos_embed of shape"));
}

TEST_CASE("position table: rows for registers or a distillation token are added to the tokens") {
  const TensorsByName registers = encoder_with_rows(4, 1 + 4 + 9);
  check_folded(registers, registers, 4);
  TensorsByName distilled = encoder_with_rows(0, 2 + 9);
  distilled["dist_token"] = Tensor::ones({1, 1, 8});
  distilled["head_dist.weight"] = Tensor::ones({3, 8});
  TensorsByName names = distilled;
  names["register_tokens"] = distilled["dist_token"];
  check_folded(distilled, names, 1);
}

}  // namespace dinomaly
