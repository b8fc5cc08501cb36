// Images read, decoded and prepared by threads of their own, while the caller computes on earlier ones.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/picture.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/tile_reader.h"
#include "tensor/tensor.h"

namespace dinomaly {

// An image on its way to the model.
struct InputImage {
  std::filesystem::path path;
  int64_t width = 0, height = 0;
  int64_t channels = 3;  // that the model is shown: PixelRules::channels
  bool grey = false;     // of one or three channels: has no colours (is_grey())
  Image rgb;             // the image in RGB (colours_of()), or what ReadAheadOptions::keep makes of it
  Tensor inputs;         // (n, channels, h, w) f32, what was made of it for the model
  // Instead of rgb and inputs: an image beyond ReadAheadOptions::whole, whose tiles are still to be read.
  std::shared_ptr<TileReader> tiles;
  std::string error;  // not empty: the image could not be read (width 0: not even decoded) or judged, and why
};

// Fills all but `path` and `tiles` of `image` with what the model is shown of `decoded`, which has the channels of
// pixels.in_colour(); `prepare` makes InputImage::inputs.
void prepare_input(InputImage& image, Image decoded, const PixelRules& pixels,
                   const std::function<Tensor(const Image&)>& prepare);

// Bytes of what an image holds, or of what an image that is read in strips will take.
size_t memory_of(const InputImage& image);
// Images that wait for something are no more than these take, or one.
inline constexpr size_t most_waiting_bytes = size_t{1} << 28;

// The next image, waiting for it if need be; none at the end, or soon after a stop is requested.
using NextPicture = std::function<std::optional<Picture>(std::stop_token)>;
// The given ones, one after the other.
NextPicture in_order(std::vector<Picture> pictures);

// Images of which only the inputs are wanted.
inline Image no_pixels(const Image&) { return {}; }

struct ReadAheadOptions {
  size_t most_ahead = 32;  // so many images wait at most
  // So many images are read at a time. A CPU that computes on the earlier ones has no cores to spare; a GPU leaves the host
  // to them (readers_for()).
  int readers = 1;
  PixelRules pixels = {};  // how files are read: the model's
  ReadLimits whole = {};   // an image beyond them is an error, or comes as tiles where there is a tiling
  Tiling tiling = {};
  // What becomes InputImage::rgb once the inputs are made: by default the image itself.
  std::function<Image(Image)> keep = [](Image rgb) { return rgb; };
};

// As many as there are processors for where `device` is a GPU, else one.
int readers_for(Device device);

class ReadAhead {
 public:
  // Calls `next_picture` and `prepare` (what becomes InputImage::inputs) on its own threads: the former on one at a time,
  // the latter and ReadAheadOptions::keep on all of them. A further image is only begun while those waiting are fewer than most_ahead and have fewer than 2^28 bytes, or while
  // next_batch() waits for it.
  ReadAhead(NextPicture next_picture, std::function<Tensor(const Image&)> prepare,
            const ReadAheadOptions& options = {});
  // Requests a stop and waits for the threads.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Waits for one image and adds those that are ready behind it, in order, up to `most` images or 2^26
  // pixels. Empty at the end. One that cannot be read comes with its error; an exception of `next_picture`
  // or `prepare` other than InputError is rethrown after the images before it.
  std::vector<InputImage> next(int64_t most);
  // The same, but waits for `count` images, whatever they take; fewer only at the end.
  std::vector<InputImage> next_batch(int64_t count);

 private:
  // An image that was begun.
  struct Slot {
    InputImage image = {};
    std::exception_ptr failure = {};
    bool done = false;
  };

  void run(std::stop_token stop);
  Slot* begin_next(std::stop_token stop, std::optional<Picture>& picture);
  InputImage read(const Picture& picture) const;
  bool has_room() const;
  size_t ready() const;
  std::vector<InputImage> take(size_t count, int64_t pixels);

  NextPicture next_picture_;
  std::function<Tensor(const Image&)> prepare_;
  ReadAheadOptions options_;
  std::mutex source_mutex_;  // held by who takes the next picture; locked before mutex_
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Slot> slots_;  // in the order of the pictures
  size_t ready_bytes_ = 0;
  size_t wanted_ = 0;                  // images that next_batch() waits for
  bool no_more_ = false;               // pictures, or none wanted after a failure
  size_t reading_ = 0;                 // threads that have not ended
  std::vector<std::jthread> threads_;  // the last member: what they use exists before them
};

// Throws the first image's InputError, if any has one.
void check_readable(const std::vector<InputImage>& images);

}  // namespace dinomaly
