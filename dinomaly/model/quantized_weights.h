// A detector whose matrix products are int8 (nn/quantize.h), and its place in the file: of each layer "NAME.weight" is I8,
// beside it stand "NAME.weight_scale" and, where inputs were smoothed, "NAME.input_scale", both F32.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "dinomaly/model/model.h"
#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

// Quantises encoder, bottleneck and decoder, with scales by how large the activations of these batches become, each
// images (B, C, H, W) as for Dinomaly::encode(). Throws InputError where they are not finite, and for a model with feature
// whitening, which enlarges rounding (on MVTec AD's pill AUPRO fell from 0.70 to 0.65).
void quantize(Dinomaly& model, const std::vector<Tensor>& batches);
bool is_quantized(const Dinomaly& model);

// What the file of such a detector holds: its state_dict() without the encoder's blocks after the last target block, which
// no image passes through. (Files with f32 weights keep them: their encoder can be taken out again.)
NamedTensors state_of_quantized(const Dinomaly& model);

using QuantizedLayers = std::map<std::string, QuantizedWeights>;  // by the layer's name, without biases

// Takes int8 layers out of a file; what reads the rest finds tensors of the same shapes, all 0, in their places. Throws
// InputError naming a tensor that does not fit.
QuantizedLayers take_quantized(WeightsFile& file);
// Puts them into a model that has been loaded from the rest. Throws InputError naming a layer that there is not.
void set_quantized(Dinomaly& model, const QuantizedLayers& layers, const std::string& source);
// Throws InputError for a file of int8 weights, where a command needs them as they were.
void check_not_quantized(const WeightsFile& file);

}  // namespace dinomaly
