#include <fmt/format.h>

#include <cmath>
#include <map>

#include "dinomaly/evaluation/ranking.h"
#include "dinomaly/model/config.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/weights/encoder_weights.h"
#include "nn/optim/clip_grad_norm.h"
#include "tensor/io/safetensors.h"
#include "tests/docs/facts.h"
#include "tests/docs/source_numbers.h"

namespace book {

using namespace dinomaly;

namespace {

constexpr int64_t patch = 14, side = 392, grid = side / patch, width = 384;

// As it is read from a file of one.
EncoderConfig dinov3_config() {
  const std::string start = "gelu/p.";
  const SafeTensors file = SafeTensors::load(DINOMALY_SOURCE_DIR "/tests/reference/dinov3.safetensors");
  std::map<std::string, Tensor> tensors;
  for (const std::string& name : file.names())
    if (name.starts_with(start)) tensors[name.substr(start.size())] = file.get(name);
  return load_encoder(tensors, "dinov3.safetensors").config;
}

void encoder(std::vector<Fact>& facts) {
  const std::string page = "08_vision_transformer";
  const auto add = [&](const std::string& sentence) { facts.push_back({page, sentence}); };
  add(fmt::format("patches of {0} x {0} and make each a token: its {0} · {0} · 3 = {1} numbers", patch,
                  patch * patch * 3));
  add(fmt::format("kernel {0} and stride {0} is exactly", patch));
  add(fmt::format("An image of {0} x {0} becomes {1} x {1} = {2} tokens", side, grid, grid * grid));
  Config config;
  config.complete(12, patch);
  add(fmt::format("numbers {} to {} of 12,", config.target_blocks.front(), config.target_blocks.back()));
  add(fmt::format("LayerNorm adds {} to the variance here and {} in Dinomaly's decoder",
                  power(EncoderConfig().norm_eps), power(Config().decoder_norm_eps)));
  add(fmt::format("at a scale of ({0} + {1})/37 for a grid of {0}", grid,
                  number_after("dinomaly/model/encoder.cpp", "static_cast<double>(rows) + ")));
  const EncoderConfig third = dinov3_config();
  Config sizes;
  sizes.complete(12, 16);
  add(fmt::format("has patches of 16 pixels, so an image of {0} x {0} becomes the same {1} x {1} tokens",
                  sizes.image.crop_h, sizes.image.crop_h / 16));
  add(fmt::format("Keys have no bias, LayerNorm adds {},", power(third.norm_eps)));
}

void method(std::vector<Fact>& facts) {
  const std::string page = "09_dinomaly", example = "examples/06_detect.cpp";
  const Config config;
  const auto add = [&](const std::string& sentence) { facts.push_back({page, sentence}); };
  add(fmt::format("an MLP with dropout {} before", config.dropout));
  add(fmt::format("{} transformer blocks with linear attention", config.decoder_depth));
  add(fmt::format(
      "resize it to {0} x {0}, blur it with a {1} x {1} Gaussian, and take the mean of the largest {2} %.",
      config.map_size, config.blur_size, 100 * config.score_ratio));
  add(fmt::format("It takes {},000 steps", config.iterations / 1000));
  add(fmt::format("the {} scores",
                  number_after(example, ".good = ") + 5 * number_after(example, ".per_defect = ")));
  add(fmt::format("in {} steps no decoder", number_after(example, "side = 112, steps = ")));
}

void loss(std::vector<Fact>& facts) {
  const Config config;
  const auto add = [&](const std::string& sentence) { facts.push_back({"10_loss", sentence}); };
  add(fmt::format("multiplies the gradient at easy points by {}", config.mining_factor));
  add(fmt::format(
      "p grows from {} to {} over the first {} steps, $p = \\min({} \\cdot \\text{{step}} / {}, {})$",
      mining_share(config, 0), mining_share(config, config.mining_steps), config.mining_steps,
      config.mining_share, config.mining_steps, config.mining_share));
  const int64_t points = 6400;
  add(fmt::format("with M = {} and p = {}, $1 - p$ is slightly below 0.1, so k is {}, not {}", points,
                  config.mining_share, mined_points(points, config.mining_share), std::lround(points * 0.1)));
  add(fmt::format(
      "clamps each norm to at least {}",
      power(number_after("autograd/ops/ops.h",
                         "Variable cosine_similarity(const Variable& a, const Variable& b, double eps = "))));
  // Two runs that differ in p part at the first step that changes weights.
  int64_t step = 0;
  while (config.schedule()(step) == 0) ++step;
  add(fmt::format("have the same loss at steps 0 and {}", step));
}

void optimizer(std::vector<Fact>& facts) {
  const Config config;
  const WarmCosineSchedule rate = config.schedule();
  const auto add = [&](const std::string& sentence) { facts.push_back({"11_optimizer", sentence}); };
  add(fmt::format("all gradients together exceeds {}, they are scaled", config.clip_norm));
  add(fmt::format("grows linearly from {} to {} over {} steps", rate(0), rate(config.warmup_steps - 1),
                  config.warmup_steps));
  add(fmt::format("half a cosine to {} at the end", rate(config.iterations)));
  // At norm 0 the factor would be 0.1 / eps.
  const double eps = config.clip_norm / clip_factor(1, config.clip_norm) - 1;
  add(fmt::format("clipping scales by ${} / (\\text{{norm}} + {})$", config.clip_norm,
                  power(eps).substr(1, power(eps).size() - 2)));
}

void metrics(std::vector<Fact>& facts) {
  const std::vector<float> scores = {0.2f, 0.3f, 0.6f, 0.5f, 0.9f};
  const std::vector<uint8_t> labels = {0, 0, 0, 1, 1};
  const RankingMetrics found = ranking_metrics(scores, labels);
  const auto add = [&](const std::string& sentence) { facts.push_back({"12_metrics", sentence}); };
  add(fmt::format("three good images with scores {}, {}, {} and two defective ones with {}, {}.", scores[0],
                  scores[1], scores[2], scores[3], scores[4]));
  add(fmt::format("Of the 3 · 2 = 6 pairs, only (0.5, 0.6) is in the wrong order: {:.0f}/6.",
                  found.auroc * 6));
  add(fmt::format("0.9 gives 1/1, 0.5 gives 2/3, so AP = {:.2f}.", found.ap));
  add(fmt::format("At 0.5 it is $2 \\cdot \\tfrac23 \\cdot 1 / (\\tfrac23 + 1) = {:.1f}$", found.f1max));
  const double limit = number_after("dinomaly/evaluation/aupro.cpp", "constexpr double paper_fpr_limit = ");
  add(fmt::format(
      "from 0 to {}, because a map that marks more than that is of no use, and divide the area by {}.", limit,
      number_after("dinomaly/evaluation/aupro.h", "double fpr_limit = ")));
  add(fmt::format("| maps | {0} x {0} |", Config().map_size));
  add(fmt::format("| curve | {} thresholds between",
                  number_after("dinomaly/evaluation/aupro.cpp", "constexpr int paper_thresholds = ")));
  facts.push_back({"17_int8", fmt::format("It takes {} thresholds at equal steps",
                                          number_after("dinomaly/evaluation/aupro.cpp",
                                                       "constexpr int paper_thresholds = "))});
  add(fmt::format("points with a false-positive rate below {}, stretched to 1 | interpolated at exactly {} |",
                  limit, limit));
}

void speed(std::vector<Fact>& facts) {
  const Config config;
  const auto add = [&](const std::string& sentence) { facts.push_back({"13_speed", sentence}); };
  const int64_t tokens = grid * grid + 1, all = config.batch * tokens;
  const double weights = static_cast<double>((8 + 12 * config.decoder_depth) * width * width);
  const double operations = weights * static_cast<double>(all) * 6;
  add("a bottleneck of $8 D^2$ weights and eight decoder blocks of $12 D^2$ weights each");
  add(fmt::format("{:.2f} million with D = {}. For each of the {} · {} tokens", weights / 1e6, width,
                  config.batch, tokens));
  add(fmt::format("${:.2f} \\cdot 10^6 \\cdot {} \\cdot 6 = {:.2f} \\cdot 10^{{12}}$ operations per step",
                  weights / 1e6, all, operations / 1e12));
  add(fmt::format("Two cores that do 400 billion per second need {:.1f} seconds", operations / 400e9));
  Config deep = config;
  deep.complete(12, patch);
  const double blocks = static_cast<double>(deep.target_blocks.back() + 1);
  add(fmt::format("saves ten encoder blocks, at least ${:.2f} \\cdot 10^{{12}}$ operations",
                  blocks * 12 * width * width * 2 * static_cast<double>(all) / 1e12));
  if (blocks != 10) add("(it is not ten blocks)");
  add(fmt::format("{:.1f} MB per image (the mean of all tokens and two groups",
                  static_cast<double>((tokens + 2 * grid * grid) * width * 4) / 1e6));
  add(fmt::format(
      "a depth of more than {},024 is split",
      (static_cast<int64_t>(number_after("backends/cpu/packed_product.cpp", "most_depth = ")) - 24) / 1000));
}

}  // namespace

std::vector<Fact> facts_of_the_detector() {
  std::vector<Fact> facts;
  for (const auto& add : {encoder, method, loss, optimizer, metrics, speed}) add(facts);
  return facts;
}

std::vector<Fact> given_numbers() {
  const std::vector<std::pair<const char*, std::vector<const char*>>> given = {
      {"01_tensors", {"The numbers 0 to 5,"}},
      // Taylor; the precision of the dtypes, and what it leaves of a difference at h.
      {"05_gradient_checking",
       {"$h^2 L'''/6$", "In f64, $\\varepsilon \\approx 10^{-16}$", "both errors are near $10^{-11}$",
        "In f32, $\\varepsilon \\approx 6 \\cdot 10^{-8}$", "An error of $10^{-7}$ is nothing",
        "where the gradient itself is $10^{-7}$"}},
      {"06_attention", {"(Dao et al., 2022)", "(B, N, 3·H·d)"}},
      {"07_linear_attention", {"(2020)"}},
      // DINOv2's sizes, as published.
      {"08_vision_transformer",
       {"width D (384 in the small model)", "table is 37 x 37.",
        "12 identical blocks (24 or 40 in larger models)", "(D to 4D, GELU, back to D)",
        "(Oquab et al., 2023)", "(Simeoni et al., 2025)", "Su et al., 2021"}},
      {"09_dinomaly",
       {"CVPR 2025", "of MVTec AD at 512 x 512 pixels:", "both 1 at best",
        // Measured with the command above them; the last with 120 iterations and without whitening.
        "After 250, 500 and 1000 iterations the image AUROC is 0.883, 0.982 and 0.988, and AUPRO 0.745, "
        "0.860 "
        "and 0.871.",
        "a run of 120 iterations has brought the loss down to 0.011, and its image AUROC is 0.400, below "
        "chance, "
        "its AUPRO 0.265."}},
      {"10_loss", {"with share 0.9:"}},
      {"11_optimizer", {"with peak rates of 0.01, 0.1, 0.3 and 1"}},
      {"12_metrics",
       {"whether 0.07 is high", "Among 50 million good pixels", "How are 20 million pixels sorted?",
        "a hundred good images with a score of 0.1."}},
      // Measured with the command beside them, or in bench/RESULTS.md and bench/GROWTH.md.
      {"13_speed",
       {"(Measured: 3.0 seconds", "two multiply-adds of 16 floats per cycle",
        // Of the processors of recent years, by their makers' manuals.
        "the first level holds 32 to 48 KB and answers within some 5 cycles, the second 0.5 to 2 MB within "
        "some 15,",
        "it computes 32 probabilities of the third",
        "the softmax of 256 scores, one after the other, take 174 cycles, of which the tiles alone take 62; "
        "mixed they take 128.",
        "and it is 370 and 220.", "the largest of the row's first 32 is subtracted",
        "reaches 98 percent of the peak", "On AVX2 the sums of 16 columns",
        "three more calls, to be finished as lines of 64 columns", "and a product took 2 to 5 percent longer",
        "oneDNN 2.6,", "85 to 91 percent on these shapes",
        "over 785 tokens from 2.8 to 2.4 ms in f32 and from 2.2 to 1.5 ms in bf16",
        "(batch 4, f32) from 3.1 to 2.3 GB", "process 8 or 16 elements at once",
        "copied 128 bytes of sums as a whole", "copies of 16 bytes out of that, and each vector of 32 bytes",
        "products take 77 percent of the time and attention 17,", "linear attention takes 2.7 percent,",
        "norms 0.9, the patch embedding and the blur 1.0, everything else together less than 2.",
        "By itself a product reaches 84 to 91 percent of the peak", "and attention 78: the difference",
        "0.307 s (62.7 GFLOP at the peak, 204 GFLOP/s); it takes 0.375 s",
        "40 images with a ViT-S at 392 x 392 take 13.6 seconds on two cores instead of 15.7, of which 12.9 "
        "are",
        "16 images need 1.3 GB where two streams need 440 MB",
        "Products are 85 percent of a training step with kept features in f32,",
        "in bf16 with AMX 57 percent",
        "brings 96 rows at a time into that order, for a block of 384 by 384 sums",
        "On two Zen 4 cores that is", "as far as its window of some 500 sees",
        "an image of a ViT-S takes 6 percent less time in int8 and 5 in f32"}},
      {"14_testing", {"a header of 10 GB"}},
      {"15_cuda", {"if you make it 4096", "the first 10 of f32's 23 bits of fraction"}},
      {"16_pretraining", {"van den Oord et al. 2018", "Bardes et al. 2022"}},
      {"17_int8",
       {"as one of 32-bit floats", "Its scale is s = m / 127,", "Their sum has 32 bits and is exact",
        "two of 16-bit words", "adds in 16 bits and saturates", "takes the bytes as words of 16 bits",
        "Strassen showed in 1969", "a product of matrices of 2 by 2 blocks needs 7 products of blocks, not 8",
        "an image of a ViT-S takes 3 percent less time and one of a ViT-B 6", "Dettmers et al. 2022",
        "Xiao et al. 2023", "takes two words of 16 bits where a multiply-add takes one float",
        "Xiao et al. 2024", "and an image of a ViT-S 5 percent",
        "with three channels of 4,000 times the others' size",
        "all of that takes 1 to 5 percent of a product's time",
        "with the README's model of 1,000 iterations, MVTec's own AU-PRO falls from 0.9282 to 0.9281, and "
        "stays at 0.9509",
        "AUPRO rises from 0.910 to 0.912, and falls from 0.927 to 0.924", "lost 0.005 of the pill's"}},
      {"18_several_processes", {"Patarasuk and Yuan 2009", "Li et al. 2020", "collect 64 MB in a bucket"}},
  };
  std::vector<Fact> facts;
  for (const auto& [page, sentences] : given) {
    for (const char* sentence : sentences) facts.push_back({page, sentence});
  }
  return facts;
}

}  // namespace book
