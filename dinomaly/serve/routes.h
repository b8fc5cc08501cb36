// What each address of the service answers.
#pragma once

#include <httplib.h>

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/serve/answer.h"
#include "dinomaly/serve/feedback.h"
#include "dinomaly/serve/judge_queue.h"
#include "dinomaly/serve/listener.h"
#include "dinomaly/serve/metrics.h"
#include "dinomaly/serve/models.h"

namespace dinomaly {

class Routes {
 public:
  // Sets the handlers of `listener`; all must outlive it.
  Routes(Listener& listener, ModelShelf& models, const ServeOptions& options);
  Routes(const Routes&) = delete;
  Routes& operator=(const Routes&) = delete;

  // See JudgeQueue.
  std::string device_fault() const { return queue_.device_fault(); }

 private:
  using Request = httplib::Request;
  using Response = httplib::Response;
  using Reader = httplib::ContentReader;

  static constexpr const char* json_type = "application/json";
  static void close_after_answer(Response& response);

  // Whether the request was answered without its body: refused, or a GET (routes_without_body.cpp).
  bool answer_at_once(const Request& request, Response& response);
  bool refuse_stranger(const Request& request, Response& response) const;
  bool refuse_body(const Request& request, Response& response) const;
  bool answer_get(const Request& request, Response& response);
  void answer_page(Response& response) const;
  // Calls `work` and answers what it throws.
  template <class Work>
  void guarded(const Request& request, Response& response, const Work& work);
  void predict(const Request& request, Response& response, const Reader& reader);
  // Throws Refusal.
  std::filesystem::path keep(const ServedModel& model, const Upload& image);
  void take_feedback(const Request& request, Response& response, const Reader& reader);
  // The images of a body, and a share of the budget for it. Throws Refusal.
  std::vector<Upload> uploads_of(const Request& request, const Response& response, const Reader& reader);
  ModelPointer model_of(const Request& request) const;
  void write_answers(const Request& request, Response& response, const ServedModel& model, Wanted wanted,
                     std::vector<Answer> answers) const;

  nlohmann::json describe_models() const;
  ServeMetrics::Gauges gauges() const;
  void refuse(Response& response, int status, const std::string& why) const;

  Listener& listener_;
  ModelShelf& models_;
  const ServeOptions options_;
  ServeMetrics metrics_;
  ByteBudget budget_;
  JudgeQueue queue_;
  RequestJudge judge_;
  std::optional<Feedback> feedback_;
};

}  // namespace dinomaly
