// Finds a model's feature whitening from the training images.
#pragma once

#include "dinomaly/training/feature_exchange.h"
#include "dinomaly/training/feature_store.h"

namespace dinomaly {

// Encodes all images of the store that are not yet, in few-shot training each varied once, and
// sets the whitening of the bottleneck's input and of each group (model/whitening.h). Images are taken in the order of the
// store's samples: the order of encoding, the batch, the number of threads and that of processes change no bit. Does nothing to a
// model without whitening. Throws InputError as WhiteningFit::compute() and FeatureStore::gather().
void fit_whitening(Dinomaly& model, FeatureStore& features);
// The same by several processes, each of which encodes its share of the images.
void fit_whitening(Dinomaly& model, FeatureExchange& features);

}  // namespace dinomaly
