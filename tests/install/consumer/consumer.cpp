// A gradient by the framework, and a detector that is made but not trained.
#include <cstdio>

#include "autograd/ops/ops.h"
#include "dinomaly/model/model.h"

int main() {
  const nabla::Variable x(nabla::Tensor::full({3}, 2.0), true);
  nabla::sum(x * x).backward();

  dinomaly::EncoderConfig encoder;
  encoder.width = 32, encoder.heads = 2, encoder.depth = 12, encoder.patch = 14, encoder.hidden = 64;
  encoder.grid_h = encoder.grid_w = 4;
  const dinomaly::Dinomaly detector(encoder, dinomaly::Config{});

  const nabla::Tensor slope = nabla::sum(nabla::Variable(x.grad())).value();
  std::printf("d/dx sum(x * x) = %.1f, a detector of %zu groups\n", slope.item() / 3,
              detector.config().encoder_groups.size());
}
