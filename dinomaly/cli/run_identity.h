// Whether a checkpoint is of the run that wants to go on from it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/training/checkpoint.h"
#include "dinomaly/training/train_options.h"

namespace dinomaly {

// What must be the same for a run to go on: the config, hashes of the encoder, of the images' names and of their files
// (of `test` where the run validates on them), the options that change a bit of the result; and the device, whose
// change is noted only. Reads every file. Throws InputError naming one that cannot be read.
nlohmann::json run_identity(const TrainOptions& options, const Config& config,
                            const std::string& encoder_hash, const std::vector<Sample>& training,
                            const std::vector<Sample>& test);

// Throws InputError naming the first difference between this run and the checkpoint's; a note on standard
// output where the device is another.
void check_same_run(const nlohmann::json& identity, const Checkpoint& saved);

}  // namespace dinomaly
