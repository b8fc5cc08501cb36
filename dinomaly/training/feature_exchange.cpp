#include "dinomaly/training/feature_exchange.h"

#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/training/feature_table.h"
#include "tensor/ops.h"

namespace dinomaly {

FeatureExchange::FeatureExchange(FeatureStore& features, Communicator& processes)
    : features_(features), processes_(processes), holders_(static_cast<size_t>(features.size()), -1) {}

bool FeatureExchange::keeps_its_own() const {
  return processes_.size() == 1 || features_.is_augmented() || features_.is_cached();
}

int FeatureExchange::first_to_need(int64_t image, int rank) {
  int& holder = holders_.at(static_cast<size_t>(image));
  if (holder < 0) holder = rank;
  return holder;
}

std::vector<Tensor> FeatureExchange::rows_of(int64_t image, int64_t iteration) {
  example_ = features_.gather_raw({image}, iteration);
  std::vector<Tensor> parts = parts_of(example_);
  for (Tensor& part : parts) part = part.contiguous();
  return parts;
}

std::vector<Tensor> FeatureExchange::room_for_rows() const {
  check(example_.bottleneck_input.defined(), "feature exchange: nothing was encoded here yet");
  std::vector<Tensor> room;
  for (const Tensor& part : parts_of(example_)) room.push_back(Tensor::empty_like(part.contiguous()));
  return room;
}

Features FeatureExchange::gather(const std::vector<int64_t>& batch, const BatchShare& share,
                                 int64_t iteration) {
  if (keeps_its_own()) {
    const auto begin = batch.begin() + static_cast<std::ptrdiff_t>(share.first);
    return features_.gather({begin, begin + static_cast<std::ptrdiff_t>(share.own)}, iteration);
  }
  const int self = processes_.rank();
  std::vector<std::vector<Tensor>> own(
      static_cast<size_t>(share.own));  // the parts of each image of the share
  std::vector<Communicator::Parcel> sent, received;
  std::vector<int64_t> elsewhere;  // places in the share whose features another process has
  for (int rank = 0; rank < processes_.size(); ++rank) {
    const BatchShare of_rank = share_of_batch(share.all, rank, processes_.size());
    for (int64_t i = 0; i < of_rank.own; ++i) {
      const int64_t image = batch.at(static_cast<size_t>(of_rank.first + i));
      const int holder = first_to_need(image, rank);
      if (rank == self && holder != self) elsewhere.push_back(i);
      if (holder != self) continue;
      std::vector<Tensor> rows = rows_of(image, iteration);
      if (rank == self)
        own[static_cast<size_t>(i)] = std::move(rows);
      else
        for (Tensor& part : rows) sent.push_back({rank, std::move(part)});
    }
  }
  for (const int64_t i : elsewhere) {  // now that something was encoded here, the others' shape is known
    const int holder = holders_[static_cast<size_t>(batch[static_cast<size_t>(share.first + i)])];
    for (const Tensor& part : own[static_cast<size_t>(i)] = room_for_rows())
      received.push_back({holder, part});
  }
  processes_.exchange(sent, received);
  Features result = example_;
  for (size_t part = 0; part <= result.encoded.size(); ++part) {
    std::vector<Tensor> rows;
    for (const std::vector<Tensor>& image : own) rows.push_back(image[part]);
    (part == 0 ? result.bottleneck_input : result.encoded[part - 1]) = cat(rows, 0);
  }
  return features_.whitened(result);
}

void FeatureExchange::send_rows(int64_t image, int64_t iteration, int to) {
  std::vector<Communicator::Parcel> sent;
  for (const Tensor& part : rows_of(image, iteration)) sent.push_back({to, part});
  processes_.exchange(sent, {});
}

Features FeatureExchange::received_rows(int from) const {
  const std::vector<Tensor> rows = room_for_rows();
  std::vector<Communicator::Parcel> received;
  for (const Tensor& part : rows) received.push_back({from, part});
  processes_.exchange({}, received);
  Features one = example_;
  one.bottleneck_input = rows[0];
  for (size_t g = 0; g < one.encoded.size(); ++g) one.encoded[g] = rows[1 + g];
  return one;
}

void FeatureExchange::for_each(const std::function<void(const Features&)>& each) {
  const int self = processes_.rank();
  if (processes_.size() == 1) features_.complete();
  std::vector<int64_t> own;
  std::vector<int> encoders;  // of each image
  for (int64_t image = 0; image < features_.size(); ++image) {
    const int turn = static_cast<int>(image % processes_.size());
    // Of a cache the first has all, and varied images are kept by nobody.
    encoders.push_back(features_.is_cached()      ? 0
                       : features_.is_augmented() ? turn
                                                  : first_to_need(image, turn));
    if (encoders.back() == self) own.push_back(image);
  }
  if (processes_.size() > 1) features_.expect_only(own);
  for (int64_t image = 0; image < features_.size(); ++image) {
    const int encoder = encoders[static_cast<size_t>(image)];
    if (encoder == 0 && self == 0) {
      rows_of(image, image);
      each(example_);
    } else if (encoder == self) {
      send_rows(image, image, 0);
    } else if (self == 0) {
      each(received_rows(encoder));
    }
  }
}

void FeatureExchange::complete() {
  if (keeps_its_own()) {
    if (processes_.is_first()) features_.complete();
    return;
  }
  for (int64_t image = 0; image < features_.size(); ++image) {
    const int holder = first_to_need(image, 0);
    if (processes_.is_first() && holder == 0)
      rows_of(image, 0);
    else if (processes_.is_first())
      features_.take(image, received_rows(holder));
    else if (processes_.rank() == holder)
      send_rows(image, 0, 0);
  }
}

}  // namespace dinomaly
