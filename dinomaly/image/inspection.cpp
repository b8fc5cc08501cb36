#include "dinomaly/image/inspection.h"

#include "dinomaly/base/framework.h"

namespace dinomaly {

void validate(const Inspection& inspection) {
  validate(inspection.tiling);
  check_input(!inspection.tiling.on() || inspection.area == Area::whole,
              "--area: tiles cover the whole image; --area crop cannot be combined with --tile");
}

std::string flags_of(const Inspection& inspection) {
  if (!inspection.tiling.on()) return "--area " + name_of(inspection.area);
  return fmt::format("--tile {} --overlap {}", inspection.tiling.size, inspection.tiling.overlap);
}

}  // namespace dinomaly
