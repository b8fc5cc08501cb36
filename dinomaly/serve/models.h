// The models that are served, by name; a file that is replaced is loaded beside and takes the other's place.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dinomaly/base/file_version.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/report/prediction_output.h"

namespace dinomaly {

// All that judging takes. Whoever judges holds it, so that a replaced model lives until its last image.
struct ServedModel {
  // Throws InputError naming `file` for a model whose images are no single files.
  ServedModel(std::string name, std::filesystem::path file, Detector loaded, const Inspection& inspection,
              OutputOptions output, int64_t batch);

  std::string name;
  std::filesystem::path file;
  Detector detector;
  Inspection inspection;
  OutputOptions output;
  Predictor predictor;
};
using ModelPointer = std::shared_ptr<const ServedModel>;

class ModelShelf {
 public:
  struct Entry {
    std::string name;
    std::filesystem::path file;
  };
  using Load = std::function<ModelPointer(const Entry&)>;
  // Told one line where a file was replaced.
  using Say = std::function<void(const std::string&)>;

  // Each of `arguments` is FILE, which is named as its stem, or NAME=FILE. Throws InputError for two of a name, for a name
  // of other characters than letters, digits, '.', '-' and '_', and what `load` throws.
  ModelShelf(const std::vector<std::string>& arguments, Load load, Say say);
  ~ModelShelf();
  ModelShelf(const ModelShelf&) = delete;
  ModelShelf& operator=(const ModelShelf&) = delete;

  // The first for an empty name; null: there is none of that name.
  ModelPointer find(const std::string& name) const;
  std::vector<ModelPointer> all() const;
  // How often a model has been replaced.
  int64_t replaced() const;
  // Looks whether files were replaced, and loads those that have stayed as they are since the last look. Called every
  // `every` once watch() was; of a file that cannot be loaded the earlier model stays.
  void look();
  void watch(std::chrono::milliseconds every = std::chrono::milliseconds(1000));

 private:
  struct Slot {
    Entry entry;
    ModelPointer model;
    FileVersion loaded, seen;  // `seen`: at the last look
  };

  Load load_;
  Say say_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Slot> slots_;
  int64_t replaced_ = 0;
  std::jthread watcher_;
};

}  // namespace dinomaly
