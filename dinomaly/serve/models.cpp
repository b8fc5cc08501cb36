#include "dinomaly/serve/models.h"

#include <algorithm>
#include <system_error>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_';
}

ModelShelf::Entry entry_of(const std::string& argument) {
  std::error_code ignored;
  const size_t equals = argument.find('=');
  if (equals == std::string::npos || std::filesystem::exists(argument, ignored))
    return {std::filesystem::path(argument).stem().string(), argument};
  return {argument.substr(0, equals), argument.substr(equals + 1)};
}

}  // namespace

ServedModel::ServedModel(std::string model_name, std::filesystem::path model_file, Detector loaded,
                         const Inspection& inspected, OutputOptions options, int64_t batch)
    : name(std::move(model_name)),
      file(std::move(model_file)),
      detector(std::move(loaded)),
      inspection(inspected),
      output(std::move(options)),
      predictor(*detector.model, inspection, batch) {
  check_input(!detector.config().with_depth,
              "{}: it was trained on images with depth, and a request holds none; predict judges them",
              file.string());
}

ModelShelf::ModelShelf(const std::vector<std::string>& arguments, Load load, Say say)
    : load_(std::move(load)), say_(std::move(say)) {
  for (const std::string& argument : arguments) {
    const Entry entry = entry_of(argument);
    const std::string& name = entry.name;
    check_input(!entry.file.empty(), "{}: names no file; say NAME=FILE", printable(argument));
    check_input(
        !name.empty() && name.size() <= 64 && name[0] != '.' &&
            std::all_of(name.begin(), name.end(), is_plain),
        "{}: '{}' cannot be a model's name, which has 1 to 64 letters, digits, '-', '_' and '.'; say NAME={}",
        printable(argument), printable(name), printable(entry.file.string()));
    for (const Slot& slot : slots_)
      check_input(slot.entry.name != name, "{} and {} are both named {}; say NAME=FILE",
                  slot.entry.file.string(), entry.file.string(), name);
    slots_.push_back({.entry = entry, .model = nullptr, .loaded = {}, .seen = {}});
  }
  check_input(!slots_.empty(), "no model: name a file");
  for (Slot& slot : slots_) {
    slot.loaded = slot.seen = file_version(slot.entry.file);  // before: what comes meanwhile is another one
    slot.model = load_(slot.entry);
  }
}

ModelShelf::~ModelShelf() = default;

ModelPointer ModelShelf::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  for (const Slot& slot : slots_) {
    if (name.empty() || slot.entry.name == name) return slot.model;
  }
  return nullptr;
}

std::vector<ModelPointer> ModelShelf::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<ModelPointer> models;
  for (const Slot& slot : slots_) models.push_back(slot.model);
  return models;
}

int64_t ModelShelf::replaced() const {
  const std::lock_guard lock(mutex_);
  return replaced_;
}

// Only one thread looks at a time, and none else changes a slot.
void ModelShelf::look() {
  for (Slot& slot : slots_) {
    const FileVersion now = file_version(slot.entry.file), before = std::exchange(slot.seen, now);
    if (now == slot.loaded || now != before || now.inode == 0) continue;
    slot.loaded = now;
    try {
      ModelPointer model = load_(slot.entry);
      {
        const std::lock_guard lock(mutex_);
        slot.model.swap(model);
        ++replaced_;
      }
      say_(fmt::format("{}: replaced by the new {}", slot.entry.name, slot.entry.file.string()));
    } catch (const std::exception& error) {
      say_(fmt::format("{}: the model stays as it was: {}", slot.entry.name, error.what()));
    }
  }
}

void ModelShelf::watch(std::chrono::milliseconds every) {
  watcher_ = std::jthread([this, every](std::stop_token stop) {
    std::mutex sleeping;
    std::unique_lock lock(sleeping);
    while (!changed_.wait_for(lock, stop, every, [&] { return stop.stop_requested(); })) look();
  });
}

}  // namespace dinomaly
