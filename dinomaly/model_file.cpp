#include "dinomaly/model_file.h"

#include <nlohmann/json.hpp>

#include "tensor/io/safetensors.h"

namespace dinomaly {

void save_model(const std::filesystem::path& path, const Dinomaly& model, const EncoderConfig& encoder) {
  save_safetensors(path, model.state_dict(),
                   {{"kind", "dinomaly"},
                    {"config", model.config().to_json().dump()},
                    {"heads", std::to_string(encoder.heads)}});
}

}  // namespace dinomaly
