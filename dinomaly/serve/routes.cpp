#include "dinomaly/serve/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <random>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/standard_error.h"
#include "dinomaly/serve/embedded.h"
#include "dinomaly/serve/request_rules.h"
#include "dinomaly/serve/token.h"
#include "dinomaly/serve/uploads.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

using nlohmann::json;

namespace {

const char* const json_type = "application/json";

void close_after_answer(httplib::Response& response) {
  Connection::current()->must_close = true;
  response.set_header("Connection", "close");
}

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

std::string random_nonce() {
  std::random_device random;
  std::string nonce;
  for (int i = 0; i < 4; ++i) nonce += fmt::format("{:08x}", random());
  return nonce;
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
    refuse(response, response.status, "a request that is not understood");
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

void Routes::refuse(Response& response, int status, const std::string& why) const {
  response.status = status;
  if (status == 503) response.set_header("Retry-After", std::to_string(queue_.retry_after()));
  if (status == 401) response.set_header("WWW-Authenticate", "Bearer");
  response.set_content(json_text({{"error", why}}) + "\n", json_type);
}

bool Routes::answer_at_once(const Request& request, Response& response) {
  const bool done =
      refuse_stranger(request, response) || refuse_body(request, response) || answer_get(request, response);
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  if (done && (!is_get || may_have_body(request))) close_after_answer(response);  // nobody has read a body
  return done;
}

// A page of another site, opened in a browser on this machine, must not reach a service without a token: not by the name of
// its own that it lets point here, and not by a form.
bool Routes::refuse_stranger(const Request& request, Response& response) const {
  const std::string host = host_of(request.get_header_value("Host"));
  if (!options_.token) {
    if (!is_loopback(host) && host != options_.host)
      return refuse(response, 403,
                    "this service answers to the names of its own machine only; --token opens it"),
             true;
    const std::string origin = request.get_header_value("Origin");
    if (!origin.empty() && !origin.ends_with("://" + request.get_header_value("Host")))
      return refuse(response, 403, "a page of another site must not use this service"), true;
    return false;
  }
  const bool open = request.path == "/" || request.path == "/healthz" || request.path == "/openapi.json";
  if (open || is_authorised(request.get_header_value("Authorization"), *options_.token)) return false;
  return refuse(response, 401, "Authorization: Bearer TOKEN is missing or wrong"), true;
}

// Of what may have a body, only what is read goes on.
bool Routes::refuse_body(const Request& request, Response& response) const {
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  const bool known_get = is_get_path(request.path), known_post = is_post_path(request.path);
  if (!known_get && !known_post)
    return refuse(response, 404, "there is nothing of this name; /openapi.json says what there is"), true;
  if (known_get != is_get || (known_post && request.method != "POST")) {
    response.set_header("Allow", known_get ? "GET" : "POST");
    return refuse(response, 405, known_get ? "only GET is answered here" : "only POST is answered here"),
           true;
  }
  if (is_get) return false;
  const bool chunked = request.has_header("Transfer-Encoding"), sized = request.has_header("Content-Length");
  if (!chunked && !sized) return refuse(response, 411, "Content-Length is missing"), true;
  const bool one = request.get_header_value_count("Content-Length") +
                       request.get_header_value_count("Transfer-Encoding") ==
                   1;
  if (!one || (sized && !length_of(request)) ||
      (chunked && lower(request.get_header_value("Transfer-Encoding")) != "chunked"))
    return refuse(response, 400, "one Content-Length, or Transfer-Encoding: chunked, is needed"), true;
  if (request.has_header("Content-Encoding"))
    return refuse(response, 415, "Content-Encoding: bodies are taken as they are, not compressed"), true;
  if (sized && *length_of(request) > options_.max_body)
    return refuse(response, 413,
                  fmt::format("the body is larger than {} bytes (--max-body)", options_.max_body)),
           true;
  return false;
}

bool Routes::answer_get(const Request& request, Response& response) {
  if (request.path == "/")
    answer_page(response);
  else if (request.path == "/healthz")
    response.set_content("{\"status\":\"ok\"}\n", json_type);
  else if (request.path == "/models")
    response.set_content(json_text(describe_models()) + "\n", json_type);
  else if (request.path == "/openapi.json")
    response.set_content(openapi_description(), json_type);
  else if (request.path == "/metrics")
    response.set_content(metrics_.text(gauges()), "text/plain; version=0.0.4; charset=utf-8");
  else
    return false;
  response.status = 200;
  return true;
}

void Routes::answer_page(Response& response) const {
  const std::string nonce = random_nonce();
  std::string page = serve_page();
  for (size_t at = page.find("@NONCE@"); at != std::string::npos; at = page.find("@NONCE@", at))
    page.replace(at, 7, nonce);
  response.set_header(
      "Content-Security-Policy",
      fmt::format(
          "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src blob: data:; media-src "
          "blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
          nonce));
  response.set_header("Referrer-Policy", "no-referrer");
  response.set_content(page, "text/html; charset=utf-8");
}

json Routes::describe_models() const {
  json models = json::array();
  for (const ModelPointer& model : models_.all()) {
    const auto number = [](const std::optional<double>& value) {
      return value ? json(short_number(*value)) : json(nullptr);
    };
    models.push_back({{"name", model->name},
                      {"threshold", number(model->output.image_threshold)},
                      {"pixel_threshold", number(model->output.pixel_threshold)},
                      {"channels", model->predictor.pixels().channels}});
  }
  return {{"models", models}, {"feedback", feedback_.has_value()}, {"version", options_.version}};
}

ServeMetrics::Gauges Routes::gauges() const {
  const auto [batches, batched] = queue_.batches();
  ServeMetrics::Gauges gauges{.queue = queue_.inside(),
                              .queue_limit = queue_.limit(),
                              .connections = listener_.connections(),
                              .batches = batches,
                              .batched = batched,
                              .replaced = models_.replaced(),
                              .version = options_.version};
  for (const ModelPointer& model : models_.all()) {
    if (model->output.image_threshold) gauges.thresholds[model->name] = *model->output.image_threshold;
  }
  return gauges;
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

void Routes::take_feedback(const Request& request, Response& response, const Reader& reader) {
  if (!feedback_) throw Refusal(404, "no feedback is taken: dinomaly serve --feedback DIR does");
  const ModelPointer model = model_of(request);
  json saved = json::array();
  for (const Upload& upload : uploads_of(request, response, reader)) {
    judge_.check_image(*model, upload, Connection::current()->deadline());
    const auto path = feedback_->save(model->name, upload.bytes);
    if (!path)
      throw Refusal(507,
                    fmt::format("there are {} images already (--feedback-limit)", options_.feedback_limit));
    metrics_.saved_feedback(model->name);
    saved.push_back(path->string());
  }
  response.status = 200;
  response.set_content(json_text({{"saved", saved}}) + "\n", json_type);
}

}  // namespace dinomaly
