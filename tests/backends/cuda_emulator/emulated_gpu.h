// What tests may ask of the emulated GPU beside what a real one offers.
#pragma once

namespace dinomaly {

// Whether memory goes back to the emulated GPU as soon as it is freed, so that every tensor is a block of its
// own: unset and guarded. On until told otherwise; off, the backend's cache works as on a GPU.
void set_fresh_memory(bool fresh);

}  // namespace dinomaly
