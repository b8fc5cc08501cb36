#include "tensor/dtype.h"

#include <fmt/format.h>

namespace nabla {

Dtype parse_dtype(std::string_view name) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::i64, Dtype::u8, Dtype::i8}) {
    if (name == name_of(dtype)) return dtype;
  }
  fail_input("unknown dtype '{}': expected f32, f64, bf16, i64, u8 or i8", name);
}

}  // namespace nabla

fmt::format_context::iterator fmt::formatter<nabla::Dtype>::format(nabla::Dtype dtype,
                                                                   fmt::format_context& context) const {
  return fmt::formatter<fmt::string_view>::format(nabla::name_of(dtype), context);
}
