#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/model/config_fields.h"

namespace dinomaly {

using nlohmann::json;

namespace {

// JSON numbers are checked before they are converted: no silent 1.5 -> 1 or -1 -> 2^64 - 1.
void require(bool ok, const std::string& source, const char* name, const char* what) {
  check_input(ok, "{}: option '{}' must be {}", source, name, what);
}
void assign(const json& value, bool& field, const std::string& source, const char* name) {
  require(value.is_boolean(), source, name, "true or false");
  field = value.get<bool>();
}
void assign(const json& value, double& field, const std::string& source, const char* name) {
  require(value.is_number(), source, name, "a number");
  field = value.get<double>();
}
void assign(const json& value, int64_t& field, const std::string& source, const char* name) {
  require(value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX),
          source, name, "an integer");
  field = value.get<int64_t>();
}
void assign(const json& value, uint64_t& field, const std::string& source, const char* name) {
  require(value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0), source,
          name, "a non-negative integer");
  field = value.get<uint64_t>();
}
void assign(const json& value, std::optional<int64_t>& field, const std::string& source, const char* name) {
  field.reset();
  if (!value.is_null()) assign(value, field.emplace(), source, name);
}
void assign(const json& value, Recentering& field, const std::string& source, const char* name) {
  for (const Recentering one : {Recentering::none, Recentering::anomalib, Recentering::dinomaly2}) {
    if (value == name_of(one)) {
      field = one;
      return;
    }
  }
  require(false, source, name, "none, anomalib or dinomaly2");
}
void assign(const json& value, std::vector<float>& field, const std::string& source, const char* name) {
  constexpr const char* what = "a list of numbers, one for each channel";
  require(value.is_array() && value.size() <= most_channels, source, name, what);
  field.clear();
  for (const json& number : value) {
    require(number.is_number(), source, name, what);
    field.push_back(number.get<float>());
  }
}
template <class Element>
void assign(const json& value, std::vector<Element>& field, const std::string& source, const char* name) {
  require(value.is_array(), source, name, "a list");
  field.clear();
  for (const json& element : value) assign(element, field.emplace_back(), source, name);
}

json json_of(const std::optional<int64_t>& field) { return field ? json(*field) : json(nullptr); }
json json_of(Recentering field) { return name_of(field); }
template <class Field>
json json_of(const Field& field) {
  return field;
}

// What recentering was called when there was one kind of it.
constexpr const char* older_recentering = "context_recentering";

void assign_older_recentering(const json& values, Recentering& field, const std::string& source) {
  bool older = false;
  assign(values[older_recentering], older, source, older_recentering);
  if (!values.contains("recentering"))
    field = older ? Recentering::anomalib : Recentering::none;
  else
    check_input(!older || field == Recentering::anomalib,
                "{}: context_recentering is the older name of recentering anomalib, but recentering is {}",
                source, name_of(field));
}

}  // namespace

json with_old_options(json values) {
  if (const json older = values.value(older_recentering, json(false));
      older.is_boolean() && !values.contains("recentering"))
    values["recentering"] = name_of(older.get<bool>() ? Recentering::anomalib : Recentering::none);
  const Config paper;  // of the options that came with dinomaly2
  const json missing = {{"exif_orientation", false},
                        {"bit_depth", 16},
                        {"bottleneck_width", paper.bottleneck_width},
                        {"lr_decay_ratio", paper.lr_decay_ratio},
                        {"bottleneck_lr_factor", paper.bottleneck_lr_factor},
                        {"amsgrad", paper.amsgrad},
                        {"skip_not_finite", paper.skip_not_finite},
                        {"with_depth", paper.with_depth},
                        {"feature_whitening", nullptr},
                        {"whitening_shrinkage", paper.whitening_shrinkage},
                        {"softmax_attention", paper.softmax_attention},
                        {"channels", 3}};
  for (const auto& [name, value] : missing.items()) {
    if (!values.contains(name)) values[name] = value;
  }
  return values;
}

json Config::to_json() const {
  json result = {{"preset", name_of(preset)}};
  for_each_field(*this, [&](const char* name, const auto& field) { result[name] = json_of(field); });
  if (!feature_whitening) {  // files of models without it are what they were before there was any
    result.erase("feature_whitening");
    result.erase("whitening_shrinkage");
  }
  if (!softmax_attention) result.erase("softmax_attention");  // likewise
  return result;
}

void Config::update_from_json(const json& values, const std::string& source) {
  check_input(values.is_object(), "{}: not a JSON object of options", source);
  // Other fields follow from the preset, so it is no field to change later.
  check_input(!values.contains("preset") || values["preset"] == name_of(preset),
              "{}: option 'preset' must be \"{}\", as chosen before", source, name_of(preset));
  std::set<std::string> known{"preset"};
  for_each_field(*this, [&](const char* name, auto& field) {
    known.insert(name);
    if (values.contains(name)) assign(values[name], field, source, name);
  });
  if (values.contains(older_recentering)) assign_older_recentering(values, recentering, source);
  for (const auto& [name, value] : values.items()) {
    check_input(known.contains(name) || name == older_recentering, "{}: there is no option '{}'{}", source,
                name, did_you_mean(name, {known.begin(), known.end()}));
  }
}

}  // namespace dinomaly
