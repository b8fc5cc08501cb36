#include "backends/cpu/packed_weights.h"

namespace nabla {

PackedWeights& packed_weights() {
  static PackedWeights copies;
  return copies;
}

}  // namespace nabla
