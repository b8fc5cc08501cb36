#include "tensor/backend.h"

#include "tensor/kernels.h"

namespace nabla {

Backend& backend_for(Device device) { return kernels_for(device); }

}  // namespace nabla
