#include "bundle.h"
#include "dinomaly/evaluation/aupro.h"
#include "dinomaly/evaluation/metrics.h"

namespace dinomaly {

void check_metrics_bundle(const SafeTensors& bundle, Verdict& verdict) {
  constexpr double tolerance = 1e-9;
  const Tensor maps = bundle.get("maps").to(Dtype::f32).contiguous(),
               masks = bundle.get("masks").contiguous();
  check_input(maps.rank() == 3 && masks.shape() == maps.shape() && masks.dtype() == Dtype::u8,
              "{}: maps {} and masks {} are not both (N, H, W)", bundle.path().string(), maps.shape(),
              masks.shape());
  const std::vector<uint8_t> labels = bundle.get("labels").to_vector<uint8_t>();
  const std::vector<float> scores = bundle.get("scores").to_vector<float>();
  const Metrics metrics = evaluate_paper(maps, masks, labels, scores);
  const size_t pixels = static_cast<size_t>(maps.numel());
  const double official = aupro_official({maps.data<float>(), pixels}, {masks.data<uint8_t>(), pixels},
                                         maps.size(0), maps.size(1), maps.size(2));
  const std::pair<const char*, double> values[] = {
      {"image_auroc", metrics.image_auroc}, {"image_ap", metrics.image_ap},
      {"image_f1max", metrics.image_f1max}, {"pixel_auroc", metrics.pixel_auroc},
      {"pixel_ap", metrics.pixel_ap},       {"pixel_f1max", metrics.pixel_f1max},
      {"aupro_paper", metrics.aupro},       {"aupro_official", official},
  };
  for (const auto& [name, value] : values) {
    verdict.absolute(name, Tensor::full({1}, value, Dtype::f64), bundle.get(std::string("expect/") + name),
                     tolerance);
  }
}

}  // namespace dinomaly
