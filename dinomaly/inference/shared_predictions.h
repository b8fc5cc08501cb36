// Predictions that several processes compute: the first one asks the others for some of them, and does with all of them what one
// process would. The others judge, and do nothing else: no file, no line and no decision is theirs.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dinomaly/inference/for_each_prediction.h"
#include "dinomaly/model/model.h"
#include "tensor/communicator.h"

namespace dinomaly {

// What the others do until the first one has dismissed them. `model` is called when the first predictions are asked for, and
// is that of the first process's predictors. What it or a judgement throws comes out.
void help_first(const std::function<const Dinomaly&()>& model, Communicator& processes);
// To be called by the first one. Of one process it does nothing.
void dismiss_helpers(Communicator& processes);

// How some pictures are judged.
struct Reading {
  bool with_pixels = false;    // InputImage::rgb
  bool whole_batches = false;  // on a GPU and without tiles each batch but the last is full
};

// Calls `sink` for each picture, in order, as for_each_prediction(). Of the processes that help, the first takes block 0, N,
// 2N, ... of the pictures, the second block 1, N + 1, ... : of a GPU a block is a batch, so that the same images meet in it
// as with one process. Each judges ahead of what the first has taken as far as Streams do, and no further.
void for_each_picture(const Predictor& predictor, const NextPicture& next, const Reading& reading,
                      const PredictionSink& sink);

}  // namespace dinomaly
