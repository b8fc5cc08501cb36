// What the service answers, and that it says what predict says.
#include <fstream>
#include <regex>

#include "dinomaly/base/files.h"
#include "tests/dinomaly/cli/child_program.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/serve/service.h"

namespace dinomaly {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

json without_place(json verdict) {
  for (const char* name : {"image", "model", "overlay", "map"}) verdict.erase(name);
  return verdict;
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("serve: verdicts, overlays and maps are those of predict, to the byte") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string();
  REQUIRE(run_dinomaly(folder, "calibrate " + model + " " + (folder / "data").string()).status == 0);
  const std::string images = (folder / "data/wood/test").string();
  const Outcome predicted = run_dinomaly(folder, fmt::format("predict {} {} --json --out {} --map-format npy",
                                                             model, images, (folder / "out").string()));
  REQUIRE(predicted.status == 0);
  REQUIRE(run_dinomaly(folder, fmt::format("predict {} {} --json --no-overlay --out {} --map-format tiff",
                                           model, images, (folder / "tiff").string()))
              .status == 0);

  Child child(folder, "serve " + model + " --port 0");
  httplib::Client client(address_of(child));
  for (const json& expected : json_lines_of(predicted.out)) {
    const fs::path path = expected["image"].get<std::string>();
    const std::string bytes = read_file(path, 1 << 20), name = path.stem().string();
    const auto raw = client.Post("/predict", bytes, "image/png");
    REQUIRE(raw);
    CHECK(raw->status == 200);
    CHECK(without_place(json::parse(raw->body)) == without_place(expected));
    const auto overlay = client.Post("/predict?overlay=png", {{"Accept", "image/png"}}, bytes, "image/png");
    CHECK(overlay->get_header_value("Content-Type") == "image/png");
    CHECK(overlay->get_header_value("X-Dinomaly-Score") ==
          fmt::format("{}", expected["score"].get<double>()));
    CHECK(overlay->body == read_file(expected["overlay"].get<std::string>(), 1 << 20));
    const auto npy =
        client.Post("/predict?map=npy", {{"Accept", "application/octet-stream"}}, bytes, "image/png");
    CHECK(npy->body == read_file(expected["map"].get<std::string>(), 1 << 20));
    const auto tiff = client.Post("/predict?map=tiff", {{"Accept", "image/tiff"}}, bytes, "image/png");
    const fs::path tiff_file = folder / "tiff" / path.lexically_relative(images).replace_extension(".tiff");
    CHECK(tiff->body == read_file(tiff_file, 1 << 20));
  }
  CHECK(WEXITSTATUS(child.end_with(SIGTERM)) == 0);
}

TEST_CASE("serve: several images of a form are answered in their order, the damaged one with its error") {
  const TemporaryFolder folder;
  const Service service(folder);
  const std::vector<FormPart> parts{{"x", noise_png(1), "one.png", "image/png"},
                                    {"x", "no image", "../../<b>.png", "image/png"},
                                    {"y", noise_png(2), "two.png", "application/octet-stream"}};
  const auto result = post_form(service, "/predict?overlay=png&map=npy", parts);
  const json images = json_of(result)["images"];
  CHECK(result->status == 200);
  REQUIRE(images.size() == 3);
  CHECK(images[0]["image"] == "one.png");
  CHECK(images[0]["anomalous"] == true);
  CHECK(images[0]["overlay"].get<std::string>().starts_with("iVBORw0KGgo"));  // a PNG's first bytes
  CHECK(images[0]["map"].get<std::string>().starts_with("k05VTVBZ"));         // an NPY's
  CHECK(images[1]["image"] == "../../<b>.png");
  CHECK(contains(images[1]["error"].get<std::string>(), "not a PNG"));
  CHECK(images[2]["image"] == "two.png");
  CHECK(images[2]["score"] == json_of(post(service, "/predict", noise_png(2)))["score"]);
}

TEST_CASE("serve: health, models, description, page, and what there is not") {
  const TemporaryFolder folder;
  const Service service(folder);
  httplib::Client client = service.client();
  CHECK(json_of(client.Get("/healthz"))["status"] == "ok");
  const json models = json_of(client.Get("/models"));
  CHECK(models["models"][0]["name"] == "a");
  CHECK(models["models"][0]["threshold"] == 1e-6);
  CHECK(models["feedback"] == false);
  const json description = json_of(client.Get("/openapi.json"));
  for (const auto& [path, methods] : description["paths"].items()) {
    CAPTURE(path);
    if (methods.contains("get")) CHECK(client.Get(path)->status == 200);
    if (methods.contains("post")) CHECK(client.Get(path)->status == 405);
  }
  const auto page = client.Get("/");
  const std::string policy = page->get_header_value("Content-Security-Policy");
  std::smatch nonce;
  REQUIRE(std::regex_search(policy, nonce, std::regex("script-src 'nonce-([0-9a-f]{32})'")));
  CHECK(contains(policy, "default-src 'none'"));
  CHECK(contains(page->body, "<script nonce=\"" + nonce[1].str() + "\">"));
  CHECK(!std::regex_search(page->body, std::regex("https?://|innerHTML|@NONCE@")));
  CHECK(client.Get("/")->get_header_value("Content-Security-Policy") != policy);
  CHECK(client.Get("/a")->status == 404);
  CHECK(client.Get("/../../etc/passwd")->status == 404);
  CHECK(client.Delete("/predict")->status == 405);
  CHECK(status_of_post(service, "/predict?model=b", noise_png(1)) == 404);
  CHECK(status_of_post(service, "/predict?overlay=jpeg", noise_png(1)) == 400);
  CHECK(status_of_post(service, "/predict?map=png", noise_png(1)) == 400);
  CHECK(status_of_post(service, "/feedback", noise_png(1)) == 404);
}

TEST_CASE("serve: a parameter that is not known, or given twice, is refused by its name") {
  const TemporaryFolder folder;
  ServeOptions options;
  options.feedback = folder / "good";
  const Service service(folder, options);
  const auto refused = [&](const std::string& path, const std::string& expected) {
    CAPTURE(path);
    RawConnection raw(service.port);
    raw.send_text("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello");
    const std::string answer = raw.all();
    CHECK(answer.starts_with("HTTP/1.1 400 "));
    CHECK_MESSAGE(contains(answer, expected), answer);
  };
  refused("/predict?threshold=nan", "there is no parameter 'threshold'; there are model, name, overlay, map");
  refused("/predict?model=a&foo=bar", "'foo'");
  refused("/predict?model=a&model=b", "model: it is given more than once");
  refused("/feedback?overlay=png", "there is no parameter 'overlay'; there are model, name");
  CHECK(!fs::exists(folder / "good" / "a"));
  CHECK(post(service, "/predict?model=a&name=x&overlay=png&map=npy", noise_png(1))->status == 200);
  CHECK(post(service, "/feedback?model=a&name=x", noise_png(1))->status == 200);
}

TEST_CASE("serve: metrics count requests, images, anomalies and scores") {
  const TemporaryFolder folder;
  const Service service(folder);
  for (uint32_t seed = 0; seed < 3; ++seed) CHECK(post(service, "/predict", noise_png(seed))->status == 200);
  CHECK(post(service, "/predict", "no image")->status == 422);
  CHECK(service.metric("dinomaly_requests_total{path=\"/predict\",status=\"200\"}") == 3);
  CHECK(service.metric("dinomaly_requests_total{path=\"/predict\",status=\"422\"}") == 1);
  CHECK(service.metric("dinomaly_request_seconds_count") == 4);
  CHECK(service.metric("dinomaly_request_seconds_bucket{le=\"+Inf\"}") == 4);
  CHECK(service.metric("dinomaly_images_total{model=\"a\"}") == 3);
  CHECK(service.metric("dinomaly_anomalies_total{model=\"a\"}") == 3);
  CHECK(service.metric("dinomaly_rejected_images_total{model=\"a\"}") == 1);
  CHECK(service.metric("dinomaly_score_count{model=\"a\"}") == 3);
  CHECK(service.metric("dinomaly_threshold{model=\"a\"}") == 1e-6);
  CHECK(service.metric("dinomaly_queue_images") == 0);
  CHECK(service.metric("dinomaly_queue_limit") == 128);
  CHECK(service.metric("process_resident_memory_bytes") > 1e6);
}

TEST_CASE("serve: images that arrive within the wait go together") {
  const TemporaryFolder folder;
  const Threads two(2);
  ServeOptions options;
  options.batch_wait = 10000;
  const Service service(folder, options);
  const auto ask = [&](uint32_t seed) {
    return std::async(std::launch::async,
                      [&, seed] { return post(service, "/predict", noise_png(seed))->status; });
  };
  auto first = ask(1), second = ask(2);
  CHECK(first.get() == 200);
  CHECK(second.get() == 200);
  CHECK(service.metric("dinomaly_batches_total") == 1);
  CHECK(service.metric("dinomaly_batched_images_total") == 2);
}

TEST_CASE("serve: models by name; a replaced file is loaded, a damaged one is not") {
  const TemporaryFolder folder;
  save_small_model(folder / "one.safetensors", 1e-6);
  save_small_model(folder / "two.safetensors", 1000);
  Service service(folder, {},
                  {(folder / "one.safetensors").string(), "other=" + (folder / "two.safetensors").string()});
  const auto anomalous = [&](const std::string& name) {
    const json verdict = json_of(post(service, "/predict?model=" + name, noise_png(1)));
    CHECK(verdict["model"] == (name.empty() ? "one" : name));
    return verdict["anomalous"].get<bool>();
  };
  CHECK(anomalous(""));
  CHECK(anomalous("one"));
  CHECK(!anomalous("other"));

  const ModelPointer before = service.shelf().find("other");
  save_small_model(folder / "two.safetensors", 1e-6);
  service.shelf().look();  // it may still be written to
  CHECK(!anomalous("other"));
  service.shelf().look();
  CHECK(anomalous("other"));
  CHECK(contains(service.said, "other: replaced by the new"));
  CHECK(service.metric("dinomaly_model_replacements_total") == 1);
  CHECK(*before->output.image_threshold == 1000);  // who holds the earlier one still judges by it

  service.said.clear();
  std::ofstream(folder / "two.safetensors") << "no model";
  for (int i = 0; i < 4; ++i) service.shelf().look();
  CHECK(anomalous("other"));
  CHECK(lines_in(service.said).size() == 1);
  CHECK(contains(service.said, "other: the model stays as it was: "));
  fs::remove(folder / "two.safetensors");
  for (int i = 0; i < 3; ++i) service.shelf().look();
  CHECK(anomalous("other"));
}

TEST_CASE("serve: two models of a name, and names that are none, are refused") {
  const auto refused = [](const std::vector<std::string>& models) {
    return input_error([&] { ModelShelf(models, [](const ModelShelf::Entry&) { return nullptr; }, {}); });
  };
  CHECK(contains(refused({"x/model.safetensors", "y/model.pth"}), "both named model"));
  CHECK(contains(refused({"a b.safetensors"}), "say NAME="));
  CHECK(contains(refused({"=file"}), "say NAME="));
  CHECK(contains(refused({"a="}), "a=: names no file"));
  CHECK(refused({"x/model.safetensors", "b=y/model.pth"}).empty());
}

TEST_CASE("serve: images called good become data of calibrate, each once") {
  const TemporaryFolder folder;
  ServeOptions options;
  options.feedback = folder / "good images", options.feedback_limit = 3;
  const Service service(folder, options);
  CHECK(json_of(service.client().Get("/models"))["feedback"] == true);
  for (const uint32_t seed : {1, 2, 1, 3}) CHECK(post(service, "/feedback", noise_png(seed))->status == 200);
  CHECK(post(service, "/feedback", noise_png(4))->status == 507);
  CHECK(post(service, "/feedback", "no image")->status == 422);
  CHECK(service.metric("dinomaly_feedback_total{model=\"a\"}") == 4);
  const fs::path data = options.feedback / "a";
  CHECK(std::distance(fs::directory_iterator(data / "good"), fs::directory_iterator()) == 3);
  const Outcome calibrated =
      run_dinomaly(folder, fmt::format("calibrate {} '{}' --force", (folder / "a").string(), data.string()));
  CHECK(calibrated.status == 0);
  CHECK(contains(calibrated.out, "from 3 good images"));
}

TEST_CASE(
    "serve: a feedback folder that cannot be written is not the image's fault, and standard error says why") {
  const TemporaryFolder folder;
  save_small_model(folder / "a", 1e-6);
  write_file(folder / "good/a", "a file where a folder should be");
  Child child(folder, fmt::format("serve {0}/a --port 0 --feedback {0}/good", folder.path().string()));
  {
    httplib::Client client(address_of(child));
    const auto result = client.Post("/feedback", noise_png(1), "image/png");
    REQUIRE(result);
    CHECK(result->status == 507);
    CHECK(contains(result->body, "cannot be written to the folder of --feedback"));
    CHECK(client.Post("/feedback", "no image", "image/png")->status == 422);
  }
  child.end_with(SIGTERM);
  CHECK_MESSAGE((contains(child.error(), "good/a") && lines_in(child.error()).size() == 1), child.error());
}

TEST_CASE("serve: a model without thresholds is named on standard error, unless one is given") {
  for (const std::string flags : {"", " --threshold 0.5"}) {
    const TemporaryFolder folder;
    const auto model = small_model(56);
    save_model(folder / "a", *model, model->encoder().config());
    Child child(folder, fmt::format("serve {}/a --port 0{}", folder.path().string(), flags));
    const httplib::Result result =
        httplib::Client(address_of(child)).Post("/predict", noise_png(1), "image/png");
    CHECK(json_of(result)["anomalous"].is_null() == flags.empty());
    child.end_with(SIGTERM);
    CAPTURE(child.error());
    CHECK(contains(child.error(), "/a: has no thresholds, so no image is called good") == flags.empty());
    CHECK(lines_in(child.error()).size() == (flags.empty() ? 1 : 0));
  }
}

TEST_CASE("serve: SIGTERM and Ctrl-C end it after what is in flight") {
  for (const int signal : {SIGTERM, SIGINT}) {
    const TemporaryFolder folder;
    save_small_model(folder / "a", 1e-6);
    // With two threads an image waits for a second one, which does not come.
    Child child(folder, "serve " + (folder / "a").string() + " --port 0 --threads 2 --batch-wait 1000");
    const std::string address = address_of(child);
    auto answer = std::async(std::launch::async, [&] {
      return httplib::Client(address).Post("/predict", noise_png(1), "image/png");
    });
    httplib::Client client(address);
    REQUIRE(wait_until([&] { return contains(client.Get("/metrics")->body, "dinomaly_queue_images 1\n"); }));
    client.stop();
    const int status = child.end_with(signal);
    CHECK(WEXITSTATUS(status) == (signal == SIGTERM ? 0 : 128 + SIGINT));
    const httplib::Result result = answer.get();
    REQUIRE(result);
    CHECK(result->status == 200);
    CHECK(json::parse(result->body)["anomalous"] == true);
  }
}

TEST_CASE("serve: many clients with some hostile bodies: no answer is lost or wrong") {
  const TemporaryFolder folder;
  const Service service(folder);
  constexpr uint32_t kinds = 8;
  constexpr int clients = 16, requests = 40;
  std::vector<std::string> bodies;
  std::vector<json> expected;
  for (uint32_t seed = 0; seed < kinds; ++seed) {
    bodies.push_back(noise_png(seed));
    expected.push_back(json_of(post(service, "/predict", bodies.back())));
  }
  std::atomic<int> right = 0, refused = 0;
  std::vector<std::thread> threads;
  for (int c = 0; c < clients; ++c) {
    threads.emplace_back([&, c] {
      httplib::Client client = service.client();
      for (int i = 0; i < requests; ++i) {
        const auto kind = static_cast<size_t>(c + i) % kinds;
        const bool hostile = (c * requests + i) % 20 == 0;
        const std::string body = hostile ? bodies[kind].substr(0, bodies[kind].size() / 2) : bodies[kind];
        const auto result = client.Post("/predict", body, "image/png");
        if (result && hostile && result->status == 422) ++refused;
        if (result && !hostile && result->status == 200 && json::parse(result->body) == expected[kind])
          ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(refused == clients * requests / 20);
  CHECK(right == clients * requests - clients * requests / 20);
  CHECK(service.metric("dinomaly_queue_images") == 0);
}

TEST_SUITE_END();

}  // namespace dinomaly
