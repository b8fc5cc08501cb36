// What training starts from: the data set, the encoder and the model that the options name.
#pragma once

#include <functional>
#include <memory>

#include "dinomaly/data/dataset.h"
#include "dinomaly/model/model.h"
#include "dinomaly/training/train_options.h"
#include "dinomaly/weights/encoder_weights.h"

namespace dinomaly {

// Without DATA: draws the procedural data set under OUT/dataset, by the first process. `stopped` as for make_dataset().
void draw_dataset(const TrainOptions& options, const std::function<bool()>& stopped = nullptr);

// The data set asked for, and a line on what it is; without DATA what draw_dataset() has drawn. For few-shot training,
// `shots` training images of each category: which follows from the seed, the category's name and its images alone. Every image but the training ones, which are read next anyway (with
// --separate, of the first model only), is decoded once to find damaged files.
Dataset open_dataset(const TrainOptions& options);

// The weights asked for, made to take --channels (input_channels.h); without --encoder a random ViT (width 192, 12
// blocks, patch 14). Says which.
EncoderWeights open_encoder(const TrainOptions& options);

// The model the options describe, with the encoder's weights, in the precision and on the device asked for.
std::unique_ptr<Dinomaly> make_model(const TrainOptions& options, const EncoderWeights& encoder);

}  // namespace dinomaly
