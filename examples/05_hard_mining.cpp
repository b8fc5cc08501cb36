// 05: Dinomaly's loss on eight points: the value counts all of them, the gradient mostly the hard ones.
//
//   build/bin/05_hard_mining
//
// Expected output:
//   point                            0     1     2     3     4     5     6     7
//   distance 1 - cos              0.02  0.06  0.13  0.24  0.36  0.50  0.66  0.83
//   gradient, share 0.50 / none   0.10  0.10  0.10  0.10  1.00  1.00  1.00  1.00
//   gradient, share 0.75 / none   0.10  0.10  0.10  0.10  0.10  0.10  1.00  1.00
//   The loss is the same for every share: yes
//   share of easy points at steps 0, 500, 1000, 5000: 0.00 0.45 0.90 0.90
#include <cmath>

#include "autograd/ops/ops.h"
#include "dinomaly/model/loss.h"

using namespace dinomaly;

constexpr int64_t points = 8;

// Two images of four points each; point i of the decoder's is turned away from the encoder's (1, 0) by
// angle (i + 1) * 0.175.
static Tensor decoder_features() {
  std::vector<float> values;
  for (int64_t i = 0; i < points; ++i) {
    const float angle = 0.175f * static_cast<float>(i + 1);
    values.insert(values.end(), {std::cos(angle), std::sin(angle)});
  }
  return Tensor::from(values, {2, 4, 2});
}

static Tensor encoder_features() {
  Tensor features = Tensor::zeros({2, 4, 2});
  features.slice(2, 0, 1).fill(1);
  return features;
}

struct Outcome {
  double loss;
  std::vector<double> gradient;  // its length at each point
};

// The hook sits on `decoded`, which is no leaf: between the loss and the weights that made it.
static Outcome run(double share) {
  const Variable weights(decoder_features(), true);
  const Variable decoded = weights * 1.0;
  const Variable loss = hard_mining_cosine_loss({{encoder_features()}, {decoded}, 2, 2}, share, 0.1);
  loss.backward();
  const Tensor lengths = unary(Unary::sqrt, reduce(Reduce::sum, weights.grad() * weights.grad(), {2}));
  return {loss.item(), lengths.to_vector<double>()};
}

static void print_row(const std::string& title, const std::vector<double>& values) {
  fmt::print("{:<28}", title);
  for (double value : values) fmt::print("  {:.2f}", value);
  fmt::print("\n");
}

int main() {
  const Variable cosines = cosine_similarity(encoder_features(), decoder_features());
  fmt::print("{:<28}{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}\n", "point", 0, 1, 2, 3, 4, 5, 6, 7);
  print_row("distance 1 - cos", (1.0 - cosines).value().to_vector<double>());

  const Outcome plain = run(0);
  bool same = true;
  for (double share : {0.5, 0.75}) {
    const Outcome mined = run(share);
    std::vector<double> ratios;
    for (size_t i = 0; i < points; ++i) ratios.push_back(mined.gradient[i] / plain.gradient[i]);
    print_row(fmt::format("gradient, share {:.2f} / none", share), ratios);
    same = same && mined.loss == plain.loss;
  }
  fmt::print("The loss is the same for every share: {}\n", same ? "yes" : "no");

  const Config config;
  fmt::print("share of easy points at steps 0, 500, 1000, 5000: {:.2f} {:.2f} {:.2f} {:.2f}\n",
             mining_share(config, 0), mining_share(config, 500), mining_share(config, 1000),
             mining_share(config, 5000));
}
