#include "dinomaly/synthetic/procedural.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/synthetic/drawn_set.h"
#include "dinomaly/synthetic/scenes.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

constexpr std::array<Scene, 4> all_scenes{{
    {"capsule", draw_capsule},
    {"flange", draw_flange},
    {"weave", draw_weave},
    {"wood", draw_wood},
}};

// One image to draw.
struct Job {
  const Scene* scene;
  Defect defect;
  uint64_t stream;       // its own part of the random numbers
  fs::path image, mask;  // names below the set's folder; no mask for a normal one
};

void add_jobs(const Scene& scene, const ProceduralOptions& options, std::vector<Job>& jobs) {
  const uint64_t scene_index = static_cast<uint64_t>(&scene - all_scenes.data());
  const auto add = [&](std::string_view part, NamedDefect defect, uint64_t group, int64_t count) {
    const bool good = defect.kind == Defect::none;
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t stream = (scene_index << 24 | group << 20 | static_cast<uint64_t>(i)) << 32;
      Job job{.scene = &scene, .defect = defect.kind, .stream = stream, .image = {}, .mask = {}};
      job.image = image_name(scene.name, part, good ? "good" : defect.name, i);
      if (!good) job.mask = mask_name(scene.name, defect.name, i);
      jobs.push_back(job);
    }
  };
  add("train", {}, 0, options.train);
  add("test", {}, 1, options.good);
  for (size_t d = 0; d < all_defects.size(); ++d) add("test", all_defects[d], 2 + d, options.per_defect);
}

// Where a set is drawn: `folder` goes with the object, unless it has been renamed. `shown` is the user's name for what
// it will become.
struct Workplace {
  fs::path folder, shown;

  Workplace(fs::path folder, fs::path shown) : folder(std::move(folder)), shown(std::move(shown)) {}
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  ~Workplace() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }

  // Not by write_file(): waiting for the disk at each image takes longer than drawing it.
  void write(const fs::path& name, const std::string& bytes) const {
    errno = 0;
    std::ofstream stream(folder / name, std::ios::binary | std::ios::trunc);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    check_input(!stream.fail(), "{}: cannot be written: {}", (shown / name).string(), std::strerror(errno));
  }
};

void draw_job(const Job& job, const ProceduralOptions& options, const Workplace& place) {
  const Specimen specimen = draw_specimen(*job.scene, options.size, options.seed, job.stream, job.defect);
  place.write(job.image, encode_png(specimen.image));
  if (!job.mask.empty()) place.write(job.mask, encode_png(specimen.mask));
}

// Whether all were drawn.
bool draw_all(const std::vector<Job>& jobs, const ProceduralOptions& options, const Workplace& place,
              const std::function<bool()>& stopped) {
  for (const Job& job : jobs) {
    fs::create_directories(place.folder / job.image.parent_path());
    if (!job.mask.empty()) fs::create_directories(place.folder / job.mask.parent_path());
  }
  std::atomic<bool> all = true;
  for_each_in_parallel(jobs.size(), [&](size_t i) {
    if (stopped && stopped())
      all = false;
    else
      draw_job(jobs[i], options, place);
  });
  return all;
}

void check_drawn(const ProceduralOptions& options) {
  const auto check_within = [](const char* flag, int64_t value, int64_t least, int64_t most) {
    check_input(value >= least && value <= most, "{}: {} is not within {}..{}", flag, value, least, most);
  };
  check_within("--size", options.size, 32, 2048);
  check_within("--train", options.train, 1, most_drawn), check_within("--good", options.good, 1, most_drawn);
  check_within("--per-defect", options.per_defect, 1, most_drawn);
}

std::vector<const Scene*> chosen_scenes(const ProceduralOptions& options) {
  std::vector<const Scene*> chosen;
  for (const Scene& scene : all_scenes) {
    if (options.categories.empty()) chosen.push_back(&scene);
  }
  for (const std::string& name : options.categories) {
    const auto scene =
        std::find_if(all_scenes.begin(), all_scenes.end(), [&](auto& s) { return s.name == name; });
    check_input(scene != all_scenes.end(),
                "--categories: there is no '{}', only capsule, flange, weave, wood{}", name,
                did_you_mean(name, procedural_categories()));
    if (std::find(chosen.begin(), chosen.end(), &*scene) == chosen.end()) chosen.push_back(&*scene);
  }
  return chosen;
}

// Without a slash at the end, which would hide the folder's own name.
fs::path without_slash(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

// Moves the finished folder to `root`, replacing an empty folder or a generated set if there is one.
void replace(const fs::path& root, const Workplace& finished) {
  if (!fs::exists(root)) return fs::rename(finished.folder, root);
  check_only_drawn(root, finished.shown);  // again: drawing takes its time
  const fs::path old = temporary_name(root);
  fs::rename(root, old);
  std::error_code error, ignored;
  fs::rename(finished.folder, root, error);
  if (error) {
    fs::rename(old, root, ignored);
    throw fs::filesystem_error("rename", root, error);
  }
  fs::remove_all(old);
}

}  // namespace

std::span<const Scene> scenes() { return all_scenes; }

Specimen draw_specimen(const Scene& scene, int64_t size, uint64_t seed, uint64_t stream, Defect defect) {
  const auto photograph = [&](Defect shown) {
    Generator generator(seed, stream), light(seed, stream + (uint64_t{1} << 31));
    Canvas canvas(size);
    scene.draw(canvas, generator, shown);
    return canvas.photograph(light);
  };
  Specimen specimen{.image = photograph(defect), .mask = Image(size, size, 1)};
  if (defect == Defect::none) return specimen;
  const Image sound = photograph(Defect::none);
  for (int64_t i = 0; i < size * size; ++i) {
    const bool same =
        std::equal(&sound.pixels[3 * i], &sound.pixels[3 * i] + 3, &specimen.image.pixels[3 * i]);
    specimen.mask.pixels[i] = same ? 0 : 255;
  }
  return specimen;
}

std::vector<std::string> procedural_categories() {
  std::vector<std::string> names;
  for (const Scene& scene : all_scenes) names.emplace_back(scene.name);
  return names;
}

Drawing make_dataset(const fs::path& root_path, const ProceduralOptions& options,
                     const std::function<bool()>& stopped) {
  check_drawn(options);
  std::vector<Job> jobs;
  std::vector<std::string_view> names;
  for (const Scene* scene : chosen_scenes(options)) {
    add_jobs(*scene, options, jobs);
    names.push_back(scene->name);
  }
  const std::string marker = marker_text(options, names);
  try {
    const fs::path root = without_slash(root_path);
    if (fs::exists(root)) {
      if (is_whole(root, marker)) return Drawing::kept;
      check_only_drawn(root, root_path);
    }
    remove_temporary_folders(root);
    const Workplace place(temporary_name(root), root_path);
    if (!draw_all(jobs, options, place, stopped)) return Drawing::stopped;
    place.write(marker_name, marker);
    replace(root, place);
    return Drawing::done;
  } catch (const fs::filesystem_error& error) {
    fail_input("{}: cannot make the data set: {}", root_path.string(), error.code().message());
  }
}

}  // namespace dinomaly
