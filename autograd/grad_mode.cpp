#include "autograd/grad_mode.h"

namespace dinomaly {

namespace {
thread_local bool enabled = true;
}

bool GradMode::enabled() { return dinomaly::enabled; }
void GradMode::set(bool on) { dinomaly::enabled = on; }

}  // namespace dinomaly
