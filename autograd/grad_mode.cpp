#include "autograd/grad_mode.h"

namespace nabla {

namespace {
thread_local bool enabled = true;
}

bool GradMode::enabled() { return nabla::enabled; }
void GradMode::set(bool on) { nabla::enabled = on; }

}  // namespace nabla
