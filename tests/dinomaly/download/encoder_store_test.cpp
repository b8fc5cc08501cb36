// Encoders by name, from a server that cuts connections, sends garbage, redirects and ignores ranges.
#include "dinomaly/download/encoder_store.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <thread>

#include "dinomaly/base/files.h"
#include "dinomaly/base/sha256.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/download/file_server.h"
#include "tests/dinomaly/tiny_encoder.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// A store in a folder of its own, and the bytes of an encoder that a server can send.
class Store {
 public:
  Store() {
    setenv("DINOMALY_HOME", (folder_ / "home").c_str(), 1);
    for (const char* name : {"DINOMALY_MIRROR", "DINOMALY_OFFLINE", "http_proxy", "all_proxy"})
      unsetenv(name);
    save_safetensors(folder_ / "encoder", tiny_encoder().tensors);
    bytes_ = read_file(folder_ / "encoder", 1 << 24);
    const EncoderConfig config = tiny_encoder().config;
    shape_ = {"tiny", "", config.width, config.depth, config.registers, 1};
  }
  ~Store() { unsetenv("DINOMALY_HOME"); }

  const std::string& bytes() const { return bytes_; }
  fs::path file() const { return folder_ / "home/tiny.bin"; }
  NamedEncoder at(const std::string& address) {
    address_ = address;
    NamedEncoder encoder = shape_;
    encoder.address = address_;
    return encoder;
  }
  fs::path fetch(const std::string& address, FetchOptions options = {}) {
    options.limits.pause = 0.01;
    return fetch_encoder(at(address), options).file;
  }
  // The one line of the refusal; nothing but the lock may be left.
  std::string refusal(const std::string& address, FetchOptions options = {}) {
    const std::string message = input_error([&] { fetch(address, options); });
    CHECK(std::count(message.begin(), message.end(), '\n') == 0);
    CHECK_FALSE(fs::exists(file()));
    CHECK_FALSE(fs::exists(file().string() + ".part"));
    CHECK_FALSE(fs::exists(file().string() + ".sha256"));
    return message;
  }

 private:
  TemporaryFolder folder_;
  std::string bytes_, address_;
  NamedEncoder shape_{};
};

}  // namespace

TEST_CASE("encoders by name: fetched once, with a hash that later uses compare") {
  Store store;
  FileServer server([&](const Request& request, int) { return part_of(store.bytes(), request); });
  int64_t told = 0;
  const fs::path file =
      store.fetch(server.address("tiny.bin"), {.progress = [&](int64_t done, int64_t total) {
                    told = done;
                    CHECK(total == static_cast<int64_t>(store.bytes().size()));
                  }});
  CHECK(file == store.file());
  CHECK(told == static_cast<int64_t>(store.bytes().size()));
  CHECK(read_file(file, 1 << 24) == store.bytes());
  CHECK(read_file(file.string() + ".sha256", 1 << 10) == sha256_of(store.bytes()) + "  tiny.bin\n");
  CHECK_FALSE(fs::exists(file.string() + ".part"));
  CHECK_FALSE(fs::exists(file.string() + ".part.etag"));
  store.fetch(server.address("tiny.bin"));
  CHECK(server.requests() == 1);
  const NamedEncoder encoder = store.at(server.address("tiny.bin"));
  CHECK(verify_encoder(encoder) == sha256_of(store.bytes()));
  CHECK(fetch_encoder(encoder, {.offline = true}).file == file);
  CHECK(fetch_encoder(encoder).sha256 == sha256_of(store.bytes()));

  std::string changed = store.bytes();
  write_file(file.string() + ".sha256", "");
  CHECK(contains(input_error([&] { verify_encoder(encoder); }), "holds no SHA-256"));
  write_file(file.string() + ".sha256", sha256_of(store.bytes()) + "  tiny.bin\n");
  changed.back() = static_cast<char>(changed.back() ^ 1);
  write_file(file, changed);
  const std::string message = input_error([&] { store.fetch(server.address("tiny.bin")); });
  CHECK_MESSAGE(contains(message, "as when it was fetched: remove it"), message);
  CHECK_THROWS_AS(verify_encoder(encoder), InputError);
}

TEST_CASE("encoders by name: a connection that breaks goes on where it stopped") {
  Store store;
  const size_t some = store.bytes().size() / 5;
  SUBCASE("with ranges") {
    FileServer server([&](const Request& request, int number) {
      CHECK(request.ranged == (number > 0));
      Response response = part_of(store.bytes(), request);
      response.sent = some;
      return response;
    });
    CHECK(read_file(store.fetch(server.address("tiny.bin")), 1 << 24) == store.bytes());
    CHECK(server.requests() >= 5);
  }
  SUBCASE("from an earlier program") {
    fs::create_directories(store.file().parent_path());
    write_file(store.file().string() + ".part", store.bytes().substr(0, some));
    write_file(store.file().string() + ".part.etag", "\"a\"");
    FileServer server([&](const Request& request, int) {
      CHECK(request.from == some);
      return part_of(store.bytes(), request);
    });
    CHECK(read_file(store.fetch(server.address("tiny.bin")), 1 << 24) == store.bytes());
    CHECK(server.requests() == 1);
  }
  SUBCASE("and all of it from a server without ranges, or with another file by now") {
    FileServer server([&](const Request& request, int number) {
      if (number == 0) {
        Response first = part_of(std::string(store.bytes().size(), 'x'), request, "\"old\"");
        first.sent = some;
        return first;
      }
      return part_of(store.bytes(), request, "\"new\"");
    });
    CHECK(read_file(store.fetch(server.address("tiny.bin")), 1 << 24) == store.bytes());
  }
  SUBCASE("not where nobody knows which file it is of") {
    fs::create_directories(store.file().parent_path());
    write_file(store.file().string() + ".part", std::string(some, 'x'));
    FileServer server([&](const Request& request, int) {
      CHECK_FALSE(request.ranged);
      return part_of(store.bytes(), request, "");
    });
    CHECK(read_file(store.fetch(server.address("tiny.bin")), 1 << 24) == store.bytes());
  }
  SUBCASE("through a server that is busy for a while") {
    FileServer server([&](const Request& request, int number) {
      if (number == 1) return Response{.status = "503 Service Unavailable"};
      Response response = part_of(store.bytes(), request);
      if (number == 0) response.sent = some;
      if (number == 2) CHECK(request.from == some);
      return response;
    });
    CHECK(read_file(store.fetch(server.address("tiny.bin")), 1 << 24) == store.bytes());
    CHECK(server.requests() == 3);
  }
  SUBCASE("not for ever: the part stays for the next call") {
    FileServer server([&](const Request& request, int number) {
      Response response = part_of(store.bytes(), request);
      response.sent = number == 0 ? some : 0;
      return response;
    });
    const std::string message = input_error([&] { store.fetch(server.address("tiny.bin")); });
    CHECK_MESSAGE(contains(message, server.address("tiny.bin")), message);
    CHECK(fs::file_size(store.file().string() + ".part") == some);
    CHECK_FALSE(fs::exists(store.file()));
    CHECK(server.requests() == 4);
  }
}

TEST_CASE("encoders by name: what is no such encoder, and what cannot be had, is one line and no file") {
  Store store;
  const auto refused = [&](const FileServer::Answer& answer, const std::string& expected,
                           FetchOptions options = {}) {
    FileServer server(answer);
    const std::string message = store.refusal(server.address("tiny.bin"), options);
    CHECK_MESSAGE(contains(message, expected), message);
  };
  refused([](const Request&, int) { return Response{.status = "404 Not Found"}; }, "404");
  refused([](const Request&, int) { return Response{.body = "<html>Please log in</html>"}; },
          "is not tiny: ");
  refused([&](const Request&, int) { return Response{.body = store.bytes().substr(0, 3000)}; },
          "is not tiny: ");
  refused([](const Request&, int) { return Response{.body = ""}; }, "is not tiny: ");
  refused([](const Request&,
             int) { return Response{.status = "302 Found", .headers = "Location: file:///etc/passwd\r\n"}; },
          "file");
  refused(
      [](const Request&, int) { return Response{.status = "302 Found", .headers = "Location: /again\r\n"}; },
      "redirects");
  const auto whole = [&](const Request& request, int) { return part_of(store.bytes(), request); };
  refused(whole, "its SHA-256 is " + sha256_of(store.bytes()), {.sha256 = std::string(64, 'a')});
  refused(whole, "is larger than 100 bytes", {.limits = {.bytes = 100}});
  refused(whole, "--sha256, encoder_sha256: 'abc' is not 64 hexadecimal digits", {.sha256 = "abc"});
  refused(whole, "forbids fetching it", {.offline = true});
  setenv("DINOMALY_MIRROR", "/a/folder", 1);
  refused(whole, "DINOMALY_MIRROR: '/a/folder' is no address");
  unsetenv("DINOMALY_MIRROR");
  setenv("DINOMALY_OFFLINE", "1", 1);
  refused(whole, "forbids fetching it");
  unsetenv("DINOMALY_OFFLINE");
  refused([](const Request&, int) { return Response{.silent = true}; }, "127.0.0.1",
          {.limits = {.patience = 1, .attempts = 1}});
  CHECK(contains(store.refusal("http://127.0.0.1:1/tiny.bin"), "http://127.0.0.1:1/tiny.bin"));

  FileServer server(whole);
  NamedEncoder other = store.at(server.address("tiny.bin"));
  other.depth += 1;
  const std::string message = input_error([&] { fetch_encoder(other); });
  CHECK_MESSAGE(contains(message, "is not tiny: it has width"), message);
}

TEST_CASE("encoders by name: a file that cannot take its place leaves nothing behind") {
  Store store;
  FileServer server([&](const Request& request, int) { return part_of(store.bytes(), request); });
  const auto stand_in_the_way = [&](int64_t, int64_t) { fs::create_directories(store.file() / "folder"); };
  const std::string message =
      input_error([&] { store.fetch(server.address("tiny.bin"), {.progress = stand_in_the_way}); });
  CHECK_MESSAGE(contains(message, store.file().string() + ": cannot be written: "), message);
  for (const char* left : {".part", ".sha256"}) CHECK_FALSE(fs::exists(store.file().string() + left));
}

TEST_CASE("encoders by name: redirects, mirrors of http and of files, and two that fetch at once") {
  Store store;
  FileServer server([&](const Request& request, int) {
    if (contains(request.text, "GET /old/"))
      return Response{.status = "301 Moved Permanently", .headers = "Location: /new/tiny.bin\r\n"};
    return part_of(store.bytes(), request);
  });
  SUBCASE("redirect") {
    CHECK(read_file(store.fetch(server.address("old/tiny.bin")), 1 << 24) == store.bytes());
  }
  SUBCASE("mirror") {
    setenv("DINOMALY_MIRROR", server.address("mirror/").c_str(), 1);
    CHECK(address_of(store.at("https://nowhere.invalid/tiny.bin")) == server.address("mirror/tiny.bin"));
    CHECK(fs::exists(store.fetch("https://nowhere.invalid/tiny.bin")));
  }
  SUBCASE("mirror of files") {
    const TemporaryFolder folder;
    write_file(folder / "tiny.bin", store.bytes());
    setenv("DINOMALY_MIRROR", ("file://" + folder.path().string()).c_str(), 1);
    CHECK(read_file(store.fetch("https://nowhere.invalid/tiny.bin"), 1 << 24) == store.bytes());
  }
  SUBCASE("at once") {
    const NamedEncoder encoder = store.at(server.address("tiny.bin"));
    std::vector<std::thread> callers;
    for (int i = 0; i < 3; ++i) callers.emplace_back([&] { fetch_encoder(encoder); });
    for (std::thread& caller : callers) caller.join();
    CHECK(server.requests() == 1);
  }
  unsetenv("DINOMALY_MIRROR");
}

TEST_CASE("encoders by name: the names") {
  CHECK(named_encoder("dinov2-base-reg").file_name() == "dinov2_vitb14_reg4_pretrain.pth");
  CHECK(find_named_encoder("dinov2") == nullptr);
  const std::string message = input_error([] { named_encoder("dinov2-smal"); });
  CHECK_MESSAGE(contains(message, "did you mean 'dinov2-small'?"), message);
  setenv("XDG_CACHE_HOME", "/x", 1);
  CHECK(encoder_store() == "/x/dinomaly");
  unsetenv("XDG_CACHE_HOME");
}

}  // namespace dinomaly
