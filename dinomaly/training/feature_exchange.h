// The features of images that several processes have encoded: each image by one of them, once.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dinomaly/model/loss.h"
#include "dinomaly/training/feature_store.h"
#include "tensor/communicator.h"

namespace dinomaly {

// The process that needs an image first encodes and keeps it; another one that needs it later is sent its features. Who keeps
// what follows from the batches so far, which all processes know: nothing has to be asked for. Images that are varied
// anew in each step are encoded where they are used, and of a cache every process has all images.
class FeatureExchange {
 public:
  // `features` must outlive it.
  FeatureExchange(FeatureStore& features, Communicator& processes);

  // What FeatureStore::gather() returns of this process's share of a batch. All processes call it with the same batch.
  Features gather(const std::vector<int64_t>& batch, const BatchShare& share, int64_t iteration);
  // Calls `each` in the first process with FeatureStore::gather_raw() of every image, in the order of the store's samples: of
  // images that are varied as in the iteration of the image's number. Whoever has an image keeps it, and of N processes the
  // one of rank i mod N encodes image i. Afterwards each is to be told again what to expect.
  void for_each(const std::function<void(const Features&)>& each);
  int64_t size() const { return features_.size(); }
  Communicator& processes() const { return processes_; }
  // The first process gets what the others have kept, and encodes what nobody has; it then keeps all where there is a cache.
  void complete();

 private:
  bool keeps_its_own() const;
  int first_to_need(int64_t image, int rank);
  std::vector<Tensor> rows_of(int64_t image, int64_t iteration);
  std::vector<Tensor> room_for_rows() const;
  void send_rows(int64_t image, int64_t iteration, int to);
  Features received_rows(int from) const;

  FeatureStore& features_;
  Communicator& processes_;
  std::vector<int> holders_;  // of each image; -1: nobody yet
  Features example_;          // of one image
};

}  // namespace dinomaly
