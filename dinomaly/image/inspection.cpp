#include "dinomaly/image/inspection.h"

#include "dinomaly/base/framework.h"

namespace dinomaly {

void validate(const Inspection& inspection) {
  validate(inspection.tiling);
  check_input(!inspection.tiling.on() || inspection.area == Area::whole,
              "--area: tiles cover the whole image; --area crop cannot be combined with --tile");
}

std::string flags_of(const Inspection& inspection) {
  const std::string roi = inspection.roi.on() ? fmt::format(" {}", inspection.roi.flag()) : "";
  if (!inspection.tiling.on()) return "--area " + name_of(inspection.area) + roi;
  return fmt::format("--tile {} --overlap {}{}", inspection.tiling.size, inspection.tiling.overlap, roi);
}

}  // namespace dinomaly
