// The detector: an open model and what it says of an image; training as `dinomaly train` does it.
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <exception>
#include <nlohmann/json.hpp>
#include <variant>

#include "bindings/python/binding.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/program.h"
#include "dinomaly/cli/encoder_flag.h"
#include "dinomaly/cli/parse_flags.h"
#include "dinomaly/cli/stop_signal.h"
#include "dinomaly/cli/train_flags.h"
#include "dinomaly/cli/train_models.h"
#include "dinomaly/report/judge.h"

namespace dinomaly::python {

namespace {

using Pixels = nb::ndarray<const uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

Image copy_of(const Pixels& pixels) {
  Image image(static_cast<int64_t>(pixels.shape(1)), static_cast<int64_t>(pixels.shape(0)),
              static_cast<int64_t>(pixels.shape(2)));
  std::copy_n(pixels.data(), image.pixels.size(), image.pixels.begin());
  return image;
}

std::string_view view_of(const nb::bytes& bytes) {
  return {static_cast<const char*>(bytes.data()), bytes.size()};
}

Judgement judge_pixels(const Judge& judge, const Pixels& pixels) {
  Image image = copy_of(pixels);
  const Computing computing;
  return judge.judge_pixels(std::move(image), "image");
}

Judgement judge_bytes(const Judge& judge, const nb::bytes& bytes) {
  const std::string_view view = view_of(bytes);
  const Computing computing;
  return judge.judge_bytes(view, "image");
}

// Files by their paths, the bytes of some, and pixels.
using AnyImage = std::variant<nb::bytes, Pixels, std::filesystem::path>;

std::vector<Judgement> judge_each(const Judge& judge, const std::vector<AnyImage>& images) {
  const Computing computing;
  return judge.judge_each(images.size(), [&](size_t i) {
    const std::string name = fmt::format("images[{}]", i);
    if (const auto* path = std::get_if<std::filesystem::path>(&images[i])) return judge.of_file(*path);
    if (const auto* bytes = std::get_if<nb::bytes>(&images[i])) return judge.of_bytes(view_of(*bytes), name);
    return judge.of_pixels(copy_of(std::get<Pixels>(images[i])), name);
  });
}

void open(Judge* self, const std::filesystem::path& model, const std::string& device,
          const std::optional<std::filesystem::path>& encoder, std::optional<std::string> area,
          std::optional<int64_t> tile, std::optional<int64_t> overlap, std::optional<std::string> roi,
          std::optional<double> threshold, std::optional<double> pixel_threshold,
          std::optional<int64_t> min_area, const std::string& category, int threads, int64_t heads,
          int64_t batch, bool fast, bool offline) {
  const Computing computing;
  JudgeFlags flags;
  const std::filesystem::path chosen = encoder ? find_encoder(*encoder, {.offline = offline}).file : "";
  flags.detector = {model.string(), chosen.string(), device, heads, batch, threads, fast};
  flags.inspection = {tile, overlap, std::move(area), std::move(roi)};
  flags.verdict = {category, threshold, pixel_threshold, min_area};
  new (self) Judge(flags);
}

void bind_result(nb::module_& m) {
  nb::class_<Region>(m, "Region", "8-connected pixels of the map above the threshold of pixels.")
      .def_prop_ro(
          "box", [](const Region& r) { return std::tuple(r.box.x, r.box.y, r.box.width, r.box.height); },
          "(x, y, width, height)")
      .def_ro("area", &Region::area)
      .def_ro("peak", &Region::peak)
      .def_prop_ro("peak_at", [](const Region& r) { return std::pair(r.peak_x, r.peak_y); })
      .def_prop_ro("centroid", [](const Region& r) { return std::pair(r.centroid_x, r.centroid_y); })
      .def("__repr__", [](const Region& r) {
        return fmt::format("Region(box=({}, {}, {}, {}), area={}, peak={:.6f})", r.box.x, r.box.y,
                           r.box.width, r.box.height, r.area, r.peak);
      });
  nb::class_<Judgement>(m, "Result", "What the detector says of one image.")
      .def_prop_ro("score", [](const Judgement& j) { return j.verdict.score; })
      .def_prop_ro(
          "threshold", [](const Judgement& j) { return j.verdict.threshold; }, "Of scores; None without one.")
      .def_prop_ro(
          "pixel_threshold", [](const Judgement& j) { return j.verdict.pixel_threshold; }, "Of the map.")
      .def_prop_ro(
          "anomalous",
          [](const Judgement& j) {
            return j.verdict.threshold ? std::optional<bool>(j.verdict.anomalous) : std::nullopt;
          },
          "Whether the score is above its threshold; None without one.")
      .def_prop_ro(
          "decision",
          [](const Judgement& j) -> std::optional<std::string> {
            if (!j.verdict.threshold) return std::nullopt;
            return j.verdict.anomalous ? "anomalous" : "good";
          },
          "\"anomalous\", \"good\", or None without a threshold.")
      .def_prop_ro(
          "map", [](const Judgement& j) { return nb::cast(j.prediction.map()).attr("numpy")(); },
          nb::for_getter(nb::sig("def map(self) -> numpy.ndarray")),
          "float32 (height, width), of the image's size.")
      .def_prop_ro(
          "regions", [](const Judgement& j) { return j.verdict.regions; }, "Highest peak first.")
      .def_prop_ro(
          "warnings",
          [](const Judgement& j) {
            std::vector<std::string> texts;
            for (const ImageWarning& warning : j.verdict.warnings) texts.push_back(warning.text);
            return texts;
          },
          "How the image is unlike the training images.")
      .def_prop_ro("width", [](const Judgement& j) { return j.verdict.width; })
      .def_prop_ro("height", [](const Judgement& j) { return j.verdict.height; })
      .def(
          "json", [](const Judgement& j) { return json_text(to_json(j.verdict)); },
          "The line that `dinomaly predict --json` prints.")
      .def("__repr__", [](const Judgement& j) {
        const Verdict& v = j.verdict;
        return fmt::format("Result(score={:.6f}, decision={}, regions={})", v.score,
                           !v.threshold  ? "None"
                           : v.anomalous ? "'anomalous'"
                                         : "'good'",
                           v.regions.size());
      });
}

// One training at a time: signals belong to the process.
std::atomic<bool> trains = false;

// What Python says after a step: its callback may raise, and Ctrl-C does. Then the training stops as by a signal, which
// leaves a checkpoint, and what was raised goes on.
class StepWatch {
 public:
  explicit StepWatch(nb::object callback) : callback_(std::move(callback)) {}

  void operator()(const TrainingStep& step, HeldSignals& signals) {
    if (raised_) return;
    signals.let_through();
    const nb::gil_scoped_acquire acquired;
    try {
      if (PyErr_CheckSignals() != 0) nb::raise_python_error();
      if (!callback_.is_none()) {
        nb::dict numbers;
        numbers["iteration"] = step.iteration;
        numbers["loss"] = step.loss;
        numbers["learning_rate"] = step.learning_rate;
        numbers["grad_norm"] = step.grad_norm;
        numbers["skipped"] = step.skipped;
        callback_(numbers);
      }
    } catch (...) {
      raised_ = std::current_exception();
      StopSignal::note(SIGINT);
    }
  }
  void rethrow() const {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  nb::object callback_;
  std::exception_ptr raised_;
};

// `dinomaly train ARGUMENTS`: the folder of the results.
std::filesystem::path train(std::vector<std::string> arguments, nb::object callback) {
  check(!trains.exchange(true), "train: another training runs in this process");
  const std::shared_ptr<void> ends(nullptr, [](void*) { trains = false; });
  CLI::App app("dinomaly train", "dinomaly train");
  const TrainFlags flags(app);
  arguments.insert(arguments.begin(), "dinomaly train");
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  if (!parse_flags(app, static_cast<int>(words.size()), words.data())) return {};
  StepWatch watch(std::move(callback));
  std::filesystem::path out;
  int status = 0;
  {
    const nb::gil_scoped_release released;
    HeldSignals signals;
    const TrainOptions options = flags.options();
    out = options.out;
    status = train_models(options, [&](const TrainingStep& step) { watch(step, signals); });
    flush_output();
  }
  watch.rethrow();
  check(status == 0, "train: stopped by signal {}", status - 128);
  return out;
}

}  // namespace

void bind_detector(nb::module_& m) {
  bind_result(m);
  nb::class_<Judge>(m, "_Judge")
      .def("__init__", &open, "model"_a, nb::kw_only(), "device"_a = "cpu", "encoder"_a = nb::none(),
           "area"_a = nb::none(), "tile"_a = nb::none(), "overlap"_a = nb::none(), "roi"_a = nb::none(),
           "threshold"_a = nb::none(), "pixel_threshold"_a = nb::none(), "min_area"_a = nb::none(),
           "category"_a = "", "threads"_a = 0, "heads"_a = 0, "batch"_a = 16, "fast"_a = false,
           "offline"_a = false)
      .def_prop_ro("channels", [](const Judge& judge) { return judge.predictor().pixels().channels; })
      .def_prop_ro("exif_orientation",
                   [](const Judge& judge) { return judge.predictor().pixels().exif_orientation; })
      .def_prop_ro("config",
                   [](const Judge& judge) { return json_text(judge.detector().config().to_json()); })
      .def(
          "file",
          [](const Judge& judge, const std::filesystem::path& path) { return judge.judge_file(path); },
          computes())
      .def("encoded", &judge_bytes)
      .def("pixels", &judge_pixels)
      .def("each", &judge_each);
  m.def("_train", &train, "arguments"_a, "callback"_a.none());
  m.def(
      "_find_encoder",
      [](const std::filesystem::path& encoder, bool offline, const nb::callable& downloader) {
        const nb::gil_scoped_release released;  // another thread may be the one that fetches it
        find_encoder(encoder, {.offline = offline, .downloader = [&](const auto& address, const auto& part) {
                                 const nb::gil_scoped_acquire acquired;
                                 downloader(address, part.string());
                               }});
      },
      "encoder"_a, "offline"_a, "downloader"_a);
  m.def("_save_png",
        [](const std::filesystem::path& path, const Pixels& pixels) { save_png(path, copy_of(pixels)); });
}

}  // namespace dinomaly::python
