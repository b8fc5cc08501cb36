// What strangers and broken clients may not do.
#include <fstream>

#include "dinomaly/serve/feedback.h"
#include "dinomaly/serve/judge_queue.h"
#include "dinomaly/serve/metrics.h"
#include "dinomaly/serve/token.h"
#include "tests/dinomaly/png.h"
#include "tests/dinomaly/serve/service.h"

namespace dinomaly {

using nlohmann::json;

namespace {

// A PNG whose header says so, and whose pixels are missing.
std::string png_header(uint32_t width, uint32_t height) {
  std::string bytes = png(width, height, 8, 2, "");
  return bytes;
}

bool is_status(const std::string& answer, int status) {
  return answer.starts_with(fmt::format("HTTP/1.1 {} ", status));
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("serve: hostile bodies get an error, and the connection goes on") {
  const TemporaryFolder folder;
  ServeOptions options;
  options.max_pixels = 1 << 16;
  const Service service(folder, options);
  httplib::Client client = service.client();
  const std::string good = noise_png(1);
  const json expected = json_of(client.Post("/predict", good, "image/png"));
  std::string flipped = good;
  flipped[good.size() / 2] ^= 1;
  const std::string jpeg = encode_jpeg(noise_image(64, 1), 90);
  for (const std::string& body :
       {std::string("no image"), good.substr(0, good.size() / 2), flipped, jpeg.substr(0, jpeg.size() / 2),
        png_header(1 << 30, 1 << 30), png_header(4000, 4000), noise_png(1, 300), std::string(1000, '\0'),
        std::string("P5 1000000 1000000 255\n"), std::string("II*\0\x08\0\0\0\xff\xff", 10),
        std::string("BM") + std::string(60, '\x7f'), std::string("\x93NUMPY\x01\0\xff\xff{", 11)}) {
    const auto result = client.Post("/predict", body, "image/png");
    CAPTURE(result->body);
    CHECK(result->status == 422);
    CHECK(json_of(result)["error"].is_string());
    CHECK(json_of(client.Post("/predict", good, "image/png")) == expected);
  }
  CHECK(client.Post("/predict", "", "image/png")->status == 400);
  CHECK(client.Post("/predict", "x", "multipart/form-data")->status == 400);
  CHECK(client
            .Post("/predict",
                  "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.png\"\r\n\r\ncut",
                  "multipart/form-data; boundary=b")
            ->status == 400);
  CHECK(post_form(service, "/predict", {{"text", "hello", "", ""}})->status == 400);
  CHECK(json_of(client.Post("/predict", good, "image/png")) == expected);
}

TEST_CASE("serve: a body that is too large is not read, whichever way it comes") {
  const TemporaryFolder folder;
  ServeOptions options;
  options.max_body = 20000;
  const Service service(folder, options);
  CHECK(post(service, "/predict", noise_png(1))->status == 200);
  {
    RawConnection raw(service.port);
    raw.send_text(head_of_post(size_t{1} << 40) + "some of it");
    const std::string answer = raw.all();
    CHECK(is_status(answer, 413));
    CHECK(contains(answer, "Connection: close"));
  }
  RawConnection raw(service.port);
  raw.send_text("POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 3; ++i) raw.send_text("2710\r\n" + std::string(10000, 'x') + "\r\n");
  CHECK(is_status(raw.all(), 413));
  std::vector<FormPart> parts;
  for (int i = 0; i < 300; ++i) parts.push_back({"x", "x", "x.png", "image/png"});
  CHECK(post_form(service, "/predict", parts)->status == 413);
}

TEST_CASE("serve: requests that are no clear HTTP are refused and end the connection") {
  const TemporaryFolder folder;
  const Service service(folder);
  const std::string start = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  const std::vector<std::pair<int, std::string>> cases{
      {411, start + "\r\n"},
      {400, start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"},
      {400, start + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
      {400, start + "Content-Length: -5\r\n\r\nhello"},
      {400, start + "Content-Length: 99999999999999999999\r\n\r\nhello"},
      {400, start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {415, start + "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"},
      {404, "POST /elsewhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello"},
      {405, "POST /models HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello"},
      {400, "nonsense\r\n\r\n"}};
  for (const auto& [status, text] : cases) {
    RawConnection raw(service.port);
    // What follows must not be taken for a request of its own.
    raw.send_text(text + "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    const std::string answer = raw.all();
    CAPTURE(text);
    CAPTURE(answer);
    CHECK(is_status(answer, status));
    CHECK(!contains(answer, "\"status\":\"ok\""));
  }
  RawConnection flood(service.port);
  flood.send_text("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n");
  for (int i = 0; i < 200; ++i) {
    if (!flood.send_text(fmt::format("X-{}: {}\r\n", i, std::string(1000, 'x')))) break;
  }
  flood.send_text("\r\n");
  CHECK(!contains(flood.all(), "200 OK"));
  CHECK(service.client().Get("/healthz")->status == 200);
}

TEST_CASE("serve: a request has a time, however slowly it comes") {
  const TemporaryFolder folder;
  ServeOptions options;
  options.timeout = 0.5;
  const Service service(folder, options);
  RawConnection body(service.port), headers(service.port);
  body.send_text(head_of_post(1000) + "x");
  const auto begun = ServeClock::now();
  for (int i = 0; i < 200 && headers.send_text(i == 0 ? "GET / HTTP/1.1\r\nX: " : "x"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(is_status(body.all(), 408));
  CHECK(!contains(headers.all(), "200 OK"));
  CHECK(ServeClock::now() - begun < std::chrono::seconds(6));  // of the ten that it would have taken
}

TEST_CASE("serve: an image that is not judged in time is answered, and not judged later") {
  const TemporaryFolder folder;
  const Threads two(2);
  ServeOptions options;
  options.timeout = 0.3, options.batch_wait = 1000;
  const Service service(folder, options);
  const auto result = post(service, "/predict", noise_png(1));
  CHECK(result->status == 503);
  CHECK(result->has_header("Retry-After"));
  CHECK(contains(result->body, "in time"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  CHECK(service.metric("dinomaly_queue_images") == 0);
  CHECK(service.metric("dinomaly_batches_total") == 0);
}

TEST_CASE("serve: a full queue is answered at once with 503, and takes images again") {
  const TemporaryFolder folder;
  ServeOptions options;
  options.queue = 1;
  const Service service(folder, options);
  const std::string image = noise_png(1);
  {
    RawConnection slow(service.port);
    slow.send_text(head_of_post(image.size(), "Connection: close\r\n") + image.substr(0, 100));
    while (service.metric("dinomaly_queue_images") < 1)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    RawConnection refused(service.port);
    refused.send_text(head_of_post(image.size()) + image);
    const std::string answer = refused.all(), later = "Retry-After: ";
    CHECK(is_status(answer, 503));
    REQUIRE(contains(answer, later));
    CHECK(std::stoi(answer.substr(answer.find(later) + later.size())) >= 1);
    CHECK(contains(answer, "\"the queue is full\""));
    slow.send_text(image.substr(100));
    CHECK(is_status(slow.all(), 200));
  }
  CHECK(post(service, "/predict", image)->status == 200);
  const std::vector<FormPart> two{{"a", image, "a.png", ""}, {"b", image, "b.png", ""}};
  CHECK(post_form(service, "/predict", two)->status == 413);
}

TEST_CASE("serve: an address that is too long is answered, however long it is") {
  const TemporaryFolder folder;
  const Service service(folder);
  for (const size_t length : {9000, 40000, 70000, 200000}) {
    CAPTURE(length);
    RawConnection raw(service.port);
    raw.send_text("GET /" + std::string(length, 'a') + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    const std::string answer = raw.all();
    CHECK(is_status(answer, 414));
    CHECK(contains(answer, "{\"error\":\"the address is too long\"}"));
  }
  CHECK(service.client().Get("/healthz")->status == 200);
}

TEST_CASE("serve: connections beyond the limit are told to come back") {
  const TemporaryFolder folder;
  ServeOptions options;
  options.queue = 1;  // 66 connections
  const Service service(folder, options);
  std::vector<std::unique_ptr<RawConnection>> idle;
  for (int i = 0; i < 66; ++i) idle.push_back(std::make_unique<RawConnection>(service.port));
  std::string answer;
  for (int i = 0; i < 100 && answer.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    RawConnection further(service.port);
    further.send_text("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    answer = further.all();
    if (is_status(answer, 200)) answer.clear();  // the others are not all accepted yet
  }
  CHECK(is_status(answer, 503));
  CHECK(contains(answer, "Retry-After: 1"));
  idle.clear();
  int status = 0;  // 503 until the service has seen that they are closed
  for (int i = 0; i < 500 && status != 200; ++i) {
    const auto health = service.client().Get("/healthz");
    status = health ? health->status : 0;
    if (status != 200) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(status == 200);
}

TEST_CASE("serve: with a token, images and metrics are for those who know it") {
  const TemporaryFolder folder;
  ServeOptions options;
  options.token = "0123456789abcdef0123";
  const Service service(folder, options);
  const std::string image = noise_png(1);
  const auto has_status = [&](const std::string& authorization, int status) {
    RawConnection raw(
        service.port);  // later versions of httplib's client send no value that ends with a space
    const std::string header = authorization.empty() ? "" : "Authorization: " + authorization + "\r\n";
    raw.send_text(head_of_post(image.size(), header + "Connection: close\r\n") + image);
    return is_status(raw.all(), status);
  };
  CHECK(has_status("Bearer " + *options.token, 200));
  for (const char* wrong :
       {"", "Bearer ", "Bearer 0123456789abcdef0124", "Bearer 0123456789abcdef012",
        "Bearer 0123456789abcdef01234", "Basic 0123456789abcdef0123", "0123456789abcdef0123"})
    CHECK(has_status(wrong, 401));
  httplib::Client client = service.client();
  for (const char* open : {"/", "/healthz", "/openapi.json"}) CHECK(client.Get(open)->status == 200);
  for (const char* closed : {"/models", "/metrics", "/elsewhere"}) CHECK(client.Get(closed)->status == 401);
  CHECK(client.Get("/models")->get_header_value("WWW-Authenticate") == "Bearer");
}

TEST_CASE("serve: without a token, pages of other sites cannot use it") {
  const TemporaryFolder folder;
  const Service service(folder);
  const auto status_with = [&](const httplib::Headers& headers) {
    return service.client().Get("/models", headers)->status;
  };
  CHECK(status_with({{"Host", "evil.example"}}) == 403);
  CHECK(status_with({{"Host", "127.0.0.1.evil.example:8080"}}) == 403);
  CHECK(status_with({{"Host", "localhost:8080"}}) == 200);
  CHECK(status_with({{"Host", "[::1]:8080"}}) == 200);
  CHECK(status_with({{"Host", "localhost:8080"}, {"Origin", "http://localhost:8080"}}) == 200);
  CHECK(status_with({{"Host", "localhost:8080"}, {"Origin", "http://localhost:9090"}}) == 403);
  CHECK(status_with({{"Host", "localhost:8080"}, {"Origin", "null"}}) == 403);
}

TEST_CASE("serve: options that would open it, or are out of range, are refused by their flag") {
  const auto refused = [](const auto& change) {
    ServeOptions options;
    change(options);
    return input_error([&] { check_serve_options(options); });
  };
  CHECK(refused([](ServeOptions&) {}).empty());
  CHECK(contains(refused([](ServeOptions& o) { o.host = "0.0.0.0"; }), "--token"));
  CHECK(contains(refused([](ServeOptions& o) { o.host = "example.com"; }), "--token"));
  CHECK(refused([](ServeOptions& o) { o.host = "0.0.0.0", o.token = "secret"; }).empty());
  CHECK(refused([](ServeOptions& o) { o.host = "::1"; }).empty());
  CHECK(contains(refused([](ServeOptions& o) { o.port = 65536; }), "--port"));
  CHECK(contains(refused([](ServeOptions& o) { o.queue = 0; }), "--queue"));
  CHECK(contains(refused([](ServeOptions& o) { o.max_body = 0; }), "--max-body"));
  CHECK(contains(refused([](ServeOptions& o) { o.max_pixels = int64_t{1} << 27; }), "--max-pixels"));
  CHECK(contains(refused([](ServeOptions& o) { o.timeout = 0; }), "--timeout"));
  CHECK(contains(refused([](ServeOptions& o) { o.batch_wait = -1; }), "--batch-wait"));
}

TEST_CASE("serve: a port that is taken is named") {
  const TemporaryFolder folder;
  Service service(folder);
  ServeOptions options;
  options.port = service.port;
  const std::string error = input_error([&] {
    run_server(
        service.shelf(), options, [] { return true; }, [](const std::string&) {});
  });
  CHECK(contains(error, fmt::format("127.0.0.1:{} cannot be listened on", service.port)));
}

TEST_CASE("serve: a token is one line of visible characters") {
  const TemporaryFolder folder;
  const auto token_of = [&](const std::string& text) {
    std::ofstream(folder / "token") << text;
    return read_token(folder / "token");
  };
  CHECK(token_of("  0123456789abcdef\r\n") == "0123456789abcdef");
  for (const char* bad :
       {"", "short", "0123456789 abcdef", "0123456789abcdef\n0123456789abcdef", "0123456789abcd\xc3\xa9"})
    CHECK(one_line_with(input_error([&] { token_of(bad); }), "--token"));
}

TEST_CASE("serve: no token but the right one is taken") {
  const std::string token = "0123456789abcdef";
  CHECK(is_authorised("Bearer " + token, token));
  for (int i = 0; i < 300; ++i) CHECK(!is_authorised(fmt::format("Bearer {}", i), token));
}

TEST_CASE("serve: a model that fails is answered 500, and the next request is judged") {
  const TemporaryFolder folder;
  save_small_model(folder / "a", 1);
  const ModelPointer model = load_small({"a", folder / "a"});
  JudgeQueue queue(4, std::nullopt);
  const auto judge = [&](Tensor inputs) {
    InputImage image;
    image.width = image.height = 56, image.inputs = std::move(inputs);
    return queue.judge(model, std::move(image), ServeClock::now() + std::chrono::seconds(30), queue.enter(1))
        .get();
  };
  const Tensor fitting = model->predictor.inputs(noise_image(56, 1));
  CHECK(judge(fitting).error.empty());
  const JudgeQueue::Outcome failed = judge(Tensor::ones({1, 3, 56, 55}));
  CHECK(failed.is_fault);
  CHECK(!failed.error.empty());
  CHECK(judge(fitting).error.empty());
  CHECK(queue.inside() == 0);
  CHECK(queue.enter(5) == nullptr);
}

TEST_CASE("serve: a histogram counts what is at most a bound") {
  Histogram histogram({1, 2});
  for (const double value : {0.5, 1.0, 1.5, 9.0}) histogram.observe(value);
  CHECK(histogram.text("x", "m=\"a\",") ==
        "x_bucket{m=\"a\",le=\"1\"} 2\nx_bucket{m=\"a\",le=\"2\"} 3\nx_bucket{m=\"a\",le=\"+Inf\"} 4\n"
        "x_sum{m=\"a\"} 12\nx_count{m=\"a\"} 4\n");
}

TEST_SUITE_END();

}  // namespace dinomaly
