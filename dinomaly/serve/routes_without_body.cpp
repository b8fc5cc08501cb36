// What is answered before a request's body is read: refusals, and every GET.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <random>

#include "dinomaly/base/files.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/serve/embedded.h"
#include "dinomaly/serve/request_rules.h"
#include "dinomaly/serve/routes.h"
#include "dinomaly/serve/token.h"

namespace dinomaly {

using nlohmann::json;

namespace {

std::string random_nonce() {
  std::random_device random;
  std::string nonce;
  for (int i = 0; i < 4; ++i) nonce += fmt::format("{:08x}", random());
  return nonce;
}

}  // namespace

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
  if (const std::string wrong = wrong_parameter(request); !wrong.empty())
    return refuse(response, 400, wrong), true;
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

}  // namespace dinomaly
