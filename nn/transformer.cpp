#include "nn/transformer.h"

#include <cmath>

namespace nabla {

namespace {
void check_heads(const char* layer, int64_t width, int64_t heads) {
  check(heads > 0 && width % heads == 0, "{}: width {} does not split into {} heads", layer, width, heads);
}
}  // namespace

Attention::Attention(int64_t width, int64_t heads)
    : qkv(add<Linear>("qkv", width, 3 * width)), proj(add<Linear>("proj", width, width)), heads_(heads) {
  check_heads("attention", width, heads);
  scale_ = 1.0 / std::sqrt(static_cast<double>(width / heads));
}

LinearAttention::LinearAttention(int64_t width, int64_t heads, double eps)
    : qkv(add<Linear>("qkv", width, 3 * width)),
      proj(add<Linear>("proj", width, width)),
      heads_(heads),
      eps_(eps) {
  check_heads("linear_attention", width, heads);
}

}  // namespace nabla
