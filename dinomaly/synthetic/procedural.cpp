#include "dinomaly/synthetic/procedural.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/synthetic/scenes.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

constexpr const char* marker_name = "dataset.json";
// Increased whenever the images change, so that sets drawn by an older program are redrawn.
constexpr int version = 2;

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
  fs::path image, mask;  // no mask for a normal one
};

void add_jobs(const fs::path& root, const Scene& scene, const ProceduralOptions& options,
              std::vector<Job>& jobs) {
  const uint64_t scene_index = static_cast<uint64_t>(&scene - all_scenes.data());
  const auto add = [&](const fs::path& folder, NamedDefect defect, uint64_t group, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t stream = (scene_index << 24 | group << 20 | static_cast<uint64_t>(i)) << 32;
      Job job{.scene = &scene, .defect = defect.kind, .stream = stream, .image = {}, .mask = {}};
      job.image = root / scene.name / folder / fmt::format("{:03}.png", i);
      if (defect.kind != Defect::none) {
        job.mask = root / scene.name / "ground_truth" / defect.name / fmt::format("{:03}_mask.png", i);
      }
      jobs.push_back(job);
    }
  };
  add("train/good", {}, 0, options.train);
  add("test/good", {}, 1, options.good);
  for (size_t d = 0; d < all_defects.size(); ++d) {
    add(fs::path("test") / all_defects[d].name, all_defects[d], 2 + d, options.per_defect);
  }
}

void write_plainly(const fs::path& path, const Image& image) {
  const std::string bytes = encode_png(image);
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  stream.close();
  check_input(!stream.fail(), "{}: cannot write", path.string());
}

void draw_job(const Job& job, const ProceduralOptions& options) {
  const Specimen specimen = draw_specimen(*job.scene, options.size, options.seed, job.stream, job.defect);
  write_plainly(job.image, specimen.image);
  if (!job.mask.empty()) write_plainly(job.mask, specimen.mask);
}

void draw_all(const std::vector<Job>& jobs, const ProceduralOptions& options) {
  for (const Job& job : jobs) {
    fs::create_directories(job.image.parent_path());
    if (!job.mask.empty()) fs::create_directories(job.mask.parent_path());
  }
  for_each_in_parallel(jobs.size(), [&](size_t i) { draw_job(jobs[i], options); });
}

void check_drawn(const ProceduralOptions& options) {
  const auto check_within = [](const char* flag, int64_t value, int64_t least, int64_t most) {
    check_input(value >= least && value <= most, "{}: {} is not within {}..{}", flag, value, least, most);
  };
  check_within("--size", options.size, 32, 2048);
  check_within("--train", options.train, 1, 100000), check_within("--good", options.good, 1, 100000);
  check_within("--per-defect", options.per_defect, 1, 100000);
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

std::string marker_text(const ProceduralOptions& options, const std::vector<const Scene*>& chosen) {
  nlohmann::ordered_json marker;
  marker["made_by"] = "dinomaly.cpp";
  marker["version"] = version;
  marker["seed"] = options.seed;
  marker["size"] = options.size;
  marker["train"] = options.train;
  marker["good"] = options.good;
  marker["per_defect"] = options.per_defect;
  for (const Scene* scene : chosen) marker["categories"].push_back(scene->name);
  return marker.dump(2) + "\n";
}

bool is_ours(const fs::path& marker) {
  if (!fs::is_regular_file(marker)) return false;
  const auto content = nlohmann::json::parse(read_file(marker, 1 << 16), nullptr, false);
  return content.is_object() && content.value("made_by", nlohmann::json()) == "dinomaly.cpp";
}

// Moves the finished folder to `root`, replacing an empty folder or a generated set if there is one.
void replace(const fs::path& root, const fs::path& finished) {
  const fs::path old = temporary_name(root);
  const bool occupied = fs::exists(root);
  if (occupied) fs::rename(root, old);
  fs::rename(finished, root);
  if (occupied) fs::remove_all(old);
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

void make_dataset(const fs::path& root_path, const ProceduralOptions& options) {
  check_drawn(options);
  const std::vector<const Scene*> chosen = chosen_scenes(options);
  const std::string marker = marker_text(options, chosen);
  fs::path temporary;
  try {
    // Without a slash at the end, which would hide the folder's own name.
    fs::path root = fs::absolute(root_path).lexically_normal();
    if (!root.has_filename()) root = root.parent_path();
    if (fs::exists(root)) {
      const bool ours = is_ours(root / marker_name);
      if (ours && read_file(root / marker_name, 1 << 16) == marker) return;
      check_input(ours || (fs::is_directory(root) && fs::is_empty(root)),
                  "{}: already exists and is not a generated data set; it was left alone", root.string());
    }
    temporary = temporary_name(root);
    std::vector<Job> jobs;
    for (const Scene* scene : chosen) add_jobs(temporary, *scene, options, jobs);
    draw_all(jobs, options);
    write_file(temporary / marker_name, marker);
    replace(root, temporary);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    if (!temporary.empty()) fs::remove_all(temporary, ignored);
    fail_input("{}: cannot make the data set: {}", root_path.string(), error.code().message());
  } catch (...) {
    std::error_code ignored;
    if (!temporary.empty()) fs::remove_all(temporary, ignored);
    throw;
  }
}

}  // namespace dinomaly
