#include "dinomaly/serve/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/serve/request_rules.h"
#include "dinomaly/serve/uploads.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

using nlohmann::json;

namespace {

Wanted wanted_of(const httplib::Request& request) {
  Wanted wanted;
  const std::string overlay = request.get_param_value("overlay"), map = request.get_param_value("map");
  if (request.has_param("overlay") && overlay != "png")
    throw Refusal(400, fmt::format("overlay: '{}' is not png", printable(overlay, 40)));
  wanted.overlay = request.has_param("overlay");
  if (map == "npy") wanted.map = MapFormat::npy;
  if (map == "tiff") wanted.map = MapFormat::tiff;
  if (request.has_param("map") && wanted.map == MapFormat::none)
    throw Refusal(400, fmt::format("map: '{}' is neither npy nor tiff", printable(map, 40)));
  return wanted;
}

}  // namespace

Routes::Routes(Listener& listener, ModelShelf& models, const ServeOptions& options)
    : listener_(listener),
      models_(models),
      options_(options),
      budget_(std::max<int64_t>(int64_t{512} << 20, 4 * options.max_body)),
      queue_(options.queue, options.batch_wait),
      judge_(queue_, metrics_, options.max_pixels) {
  if (!options.feedback.empty()) feedback_.emplace(options.feedback, options.feedback_limit);
  using Handled = httplib::Server::HandlerResponse;
  listener.set_payload_max_length(static_cast<size_t>(options.max_body));
  listener.set_default_headers({{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
  listener.set_pre_routing_handler([this](const Request& request, Response& response) {
    return answer_at_once(request, response) ? Handled::Handled : Handled::Unhandled;
  });
  listener.set_expect_100_continue_handler([this](const Request& request, Response& response) {
    return answer_at_once(request, response) ? response.status : 100;
  });
  listener.Post("/predict", [this](const Request& request, Response& response, const Reader& reader) {
    guarded(request, response, [&] { predict(request, response, reader); });
  });
  listener.Post("/feedback", [this](const Request& request, Response& response, const Reader& reader) {
    guarded(request, response, [&] { take_feedback(request, response, reader); });
  });
  // What httplib refuses by itself.
  listener.set_error_handler([this](const Request&, Response& response) {
    if (!response.body.empty()) return;
    refuse(response, response.status,
           response.status == 414 ? long_address : "a request that is not understood");
    close_after_answer(response);
  });
  listener.set_exception_handler([this](const Request&, Response& response, std::exception_ptr) {
    refuse(response, 500, "internal error");
    close_after_answer(response);
  });
  listener.set_logger([this](const Request& request, const Response& response) {
    const bool known = is_get_path(request.path) || is_post_path(request.path);
    const double seconds =
        std::chrono::duration<double>(ServeClock::now() - Connection::current()->begun()).count();
    metrics_.answered(known ? request.path : "other", response.status, seconds);
  });
}

void Routes::close_after_answer(Response& response) {
  Connection::current()->must_close = true;
  response.set_header("Connection", "close");
}

void Routes::refuse(Response& response, int status, const std::string& why) const {
  response.status = status;
  if (status == 503) response.set_header("Retry-After", std::to_string(queue_.retry_after()));
  if (status == 401) response.set_header("WWW-Authenticate", "Bearer");
  response.set_content(json_text({{"error", why}}) + "\n", json_type);
}

ModelPointer Routes::model_of(const Request& request) const {
  const std::string name = request.get_param_value("model");
  if (ModelPointer model = models_.find(name)) return model;
  std::vector<std::string> names;
  for (const ModelPointer& model : models_.all()) names.push_back(model->name);
  throw Refusal(
      404, fmt::format("model: there is no '{}'; there is {}", printable(name, 64), fmt::join(names, ", ")));
}

std::vector<Upload> Routes::uploads_of(const Request& request, const Response& response,
                                       const Reader& reader) {
  Connection& connection = *Connection::current();
  ByteBudget::Share share = budget_.take(length_of(request).value_or(options_.max_body));
  if (!share) throw Refusal(503, "too many bytes are under way");
  connection.held.push_back(std::move(share));
  UploadReader uploads(options_.max_body);
  const bool parts = request.is_multipart_form_data();
  if (!parts) uploads.begin_raw(request.get_param_value("name"));
  const auto add = [&](const char* bytes, size_t count) { return uploads.add(bytes, count); };
  const bool whole = parts ? reader([&](const auto& part) { return uploads.begin(part); }, add) : reader(add);
  uploads.check();
  if (connection.timed_out()) throw Refusal(408, "the request did not come in time (--timeout)");
  if (!whole && response.status == 413) throw Refusal(413, "the body is larger than --max-body");
  if (!whole) throw Refusal(400, "the body is cut short or not what its headers say");
  connection.must_close = false;  // all of it was read
  std::vector<Upload> images = uploads.take();
  const bool any =
      std::any_of(images.begin(), images.end(), [](const Upload& image) { return !image.bytes.empty(); });
  if (!any) throw Refusal(400, "no image: send one as the body, or several as multipart/form-data");
  return images;
}

template <class Work>
void Routes::guarded(const Request& request, Response& response, const Work& work) {
  Connection& connection = *Connection::current();
  connection.must_close = true;  // until the body has been read
  const auto failed = [&](int status, const std::string& why) {
    refuse(response, status, why);
    if (connection.must_close) response.set_header("Connection", "close");
  };
  try {
    work();
  } catch (const Refusal& refusal) {
    failed(refusal.status, refusal.what());
  } catch (const InputError& error) {
    failed(422, error.what());
  } catch (const std::bad_alloc&) {
    failed(503, "out of memory");
  } catch (const std::exception& error) {
    print_error("dinomaly: {}: {}\n", request.path, one_line(error.what()));
    failed(500, "internal error");
  }
  connection.begin_answer(options_.timeout);
}

void Routes::predict(const Request& request, Response& response, const Reader& reader) {
  const ModelPointer model = model_of(request);
  const Wanted wanted = wanted_of(request);
  JudgeQueue::Place place = queue_.enter(1);
  if (!place) throw Refusal(503, "the queue is full");
  const std::vector<Upload> uploads = uploads_of(request, response, reader);
  const auto further = static_cast<int64_t>(uploads.size()) - 1;
  if (further >= queue_.limit())
    throw Refusal(413, fmt::format("more images than the queue takes, {}", queue_.limit()));
  JudgeQueue::Place others = queue_.enter(further);
  if (!others) throw Refusal(503, "the queue is full");
  Connection& connection = *Connection::current();
  const auto both =
      std::make_shared<std::pair<JudgeQueue::Place, JudgeQueue::Place>>(std::move(place), std::move(others));
  std::vector<Answer> answers =
      judge_.judge(model, uploads, wanted, connection.deadline(), both, budget_, connection.held);
  write_answers(request, response, *model, wanted, std::move(answers));
}

void Routes::write_answers(const Request& request, Response& response, const ServedModel& model,
                           Wanted wanted, std::vector<Answer> answers) const {
  const auto failed = std::count_if(answers.begin(), answers.end(),
                                    [](const Answer& answer) { return !answer.verdict.error.empty(); });
  response.status = failed == static_cast<int64_t>(answers.size()) ? 422 : 200;
  if (request.is_multipart_form_data()) {
    json images = json::array();
    for (Answer& answer : answers) {
      images.push_back(to_json(answer, model.name));
      answer = {};
    }
    response.set_content(json_text({{"images", std::move(images)}}) + "\n", json_type);
    return;
  }
  const Answer& answer = answers.front();
  const std::string accept = request.get_header_value("Accept");
  const char* map_type = wanted.map == MapFormat::tiff ? "image/tiff" : "application/octet-stream";
  const bool as_overlay = accept == "image/png" && !answer.overlay.empty();
  const bool as_map = accept == map_type && !answer.map.empty();
  if (!as_overlay && !as_map) {
    response.set_content(json_text(to_json(answer, model.name)) + "\n", json_type);
    return;
  }
  response.set_header("X-Dinomaly-Score", fmt::format("{}", short_number(answer.verdict.score)));
  if (answer.verdict.threshold)
    response.set_header("X-Dinomaly-Anomalous", answer.verdict.anomalous ? "true" : "false");
  response.set_content(as_overlay ? answer.overlay : answer.map, as_overlay ? "image/png" : map_type);
}

// Below the folder. What cannot be written is no fault of the image, and whoever runs the service has to know it.
std::filesystem::path Routes::keep(const ServedModel& model, const Upload& image) {
  std::optional<std::filesystem::path> path;
  try {
    path = feedback_->save(model.name, image.bytes);
  } catch (const InputError& error) {
    print_error("dinomaly: --feedback: {}\n", one_line(error.what()));
    throw Refusal(507, "the image cannot be written to the folder of --feedback");
  }
  if (!path)
    throw Refusal(507,
                  fmt::format("there are {} images already (--feedback-limit)", options_.feedback_limit));
  return *path;
}

void Routes::take_feedback(const Request& request, Response& response, const Reader& reader) {
  if (!feedback_) throw Refusal(404, "no feedback is taken: dinomaly serve --feedback DIR does");
  const ModelPointer model = model_of(request);
  json saved = json::array();
  for (const Upload& upload : uploads_of(request, response, reader)) {
    judge_.check_image(*model, upload, Connection::current()->deadline());
    const auto path = keep(*model, upload);
    metrics_.saved_feedback(model->name);
    saved.push_back(path.string());
  }
  response.status = 200;
  response.set_content(json_text({{"saved", saved}}) + "\n", json_type);
}

}  // namespace dinomaly
