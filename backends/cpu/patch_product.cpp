#include "backends/cpu/patch_product.h"

#include <algorithm>

#include "backends/cpu/amx.h"
#include "backends/cpu/packed_product.h"
#include "tensor/storage.h"
#include "tensor/threads.h"

namespace nabla {

namespace {

struct Sizes {
  int64_t channels, height, width, kernel_y, kernel_x, out_y, out_x;
  int64_t depth() const { return channels * kernel_y * kernel_x; }
};

// Copies a line of the image to the patches it goes through: `count` pieces of `length`, `depth` elements apart. With a length
// that the compiler knows, a piece is two or three instructions; a call to memcpy takes longer.
template <int64_t known>
void copy_pieces(const BFloat16* from, int64_t count, int64_t length, int64_t depth, BFloat16* to) {
  for (int64_t j = 0; j < count; ++j, from += length, to += depth)
    std::copy_n(from, known > 0 ? known : length, to);
}

// One image (C, H, W) -> patches (H' W', C kh kw).
void collect(const BFloat16* image, const Sizes& s, BFloat16* patches) {
  const auto copy = s.kernel_x == 14 ? copy_pieces<14> : s.kernel_x == 16 ? copy_pieces<16> : copy_pieces<0>;
  parallel_for(s.out_y, row_grain(s.out_x * s.depth()), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      BFloat16* to = patches + i * s.out_x * s.depth();
      for (int64_t channel = 0; channel < s.channels; ++channel) {
        for (int64_t u = 0; u < s.kernel_y; ++u, to += s.kernel_x)
          copy(image + (channel * s.height + i * s.kernel_y + u) * s.width, s.out_x, s.kernel_x, s.depth(),
               to);
      }
    }
  });
}

}  // namespace

bool has_patch_product(const Tensor& x, const Tensor& weight, const Conv2dArgs& args) {
  return args.groups == 1 && args.padding_y == 0 && args.padding_x == 0 && args.stride_y == weight.size(2) &&
         args.stride_x == weight.size(3) && args.stride_x > 1 && x.dtype() == Dtype::bf16 &&
         weight.dtype() == Dtype::bf16 && has_amx() &&
         has_packed_product(Dtype::bf16, weight.size(0), weight.numel() / weight.size(0));
}

void patch_product(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y) {
  const Sizes s{x.size(1), x.size(2), x.size(3), weight.size(2), weight.size(3), y.size(2), y.size(3)};
  const int64_t outputs = weight.size(0), count = s.out_y * s.out_x, depth = s.depth();
  const Tensor patches = Tensor::empty({count, depth}, x.dtype());
  const Storage packed(packed_bytes(x.dtype(), depth, count), Device::cpu());
  // An epilogue's bias goes along a row, this one down the columns: it is what the product is added to.
  Epilogue epilogue;
  if (bias.defined()) y.copy_from(bias.reshape({1, outputs, 1, 1}).expand(y.shape()));
  for (int64_t image = 0; image < x.size(0); ++image) {
    collect(x.data<BFloat16>() + image * s.channels * s.height * s.width, s, patches.data<BFloat16>());
    pack(patches, true, depth, count, packed.data());
    const Tensor out = y.select(0, image).reshape({outputs, count});
    if (bias.defined()) epilogue.residual = out;
    packed_product(weight.reshape({outputs, depth}), outputs, depth, count, packed.data(), out, epilogue);
  }
}

}  // namespace nabla
