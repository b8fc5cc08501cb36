// Who is told of an anomaly, and what happens when nobody listens.
#include "dinomaly/alarm/alarm.h"

#include <doctest/doctest.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "dinomaly/alarm/command.h"
#include "dinomaly/alarm/mqtt.h"
#include "dinomaly/alarm/webhook.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/download/file_server.h"

extern char** environ;  // NOLINT: POSIX

using namespace dinomaly;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string write_script(const fs::path& path, const std::string& text) {
  write_file(path, "#!/bin/sh\n" + text);
  REQUIRE(chmod(path.c_str(), 0755) == 0);
  return path.string();
}

// Ways that fail and ways that wait.
class FakeWay : public AlarmWay {
 public:
  explicit FakeWay(std::function<void(const std::string&)> send) : send_(std::move(send)) {}
  void send(const std::string& json) override { send_(json); }

 private:
  std::function<void(const std::string&)> send_;
};

std::vector<std::unique_ptr<AlarmWay>> one_way(std::function<void(const std::string&)> send) {
  std::vector<std::unique_ptr<AlarmWay>> ways;
  ways.push_back(std::make_unique<FakeWay>(std::move(send)));
  return ways;
}

void say_nothing(const std::string&) {}

// A broker on a port of its own.
class Broker {
 public:
  Broker() {
    FileServer free_port([](const Request&, int) { return Response{}; });
    const std::string address = free_port.address("");
    port_ = std::stoi(address.substr(address.rfind(':') + 1));
  }
  int port() const { return port_; }
  bool start() {
    const std::string port = std::to_string(port_);
    for (const char* program : {"mosquitto", "/usr/sbin/mosquitto"}) {
      const char* arguments[] = {program, "-p", port.c_str(), nullptr};
      if (posix_spawnp(&process_, program, nullptr, nullptr, const_cast<char**>(arguments), environ) == 0)
        return true;
    }
    process_ = 0;
    return false;
  }
  ~Broker() {
    if (process_ == 0) return;
    kill(process_, SIGTERM);
    waitpid(process_, nullptr, 0);
  }

 private:
  int port_ = 0;
  pid_t process_ = 0;
};

}  // namespace

TEST_SUITE("threads") {
  TEST_CASE("alarm: messages arrive in order, and nobody waits for them") {
    std::vector<std::string> got;
    Alarm alarm(one_way([&](const std::string& json) {
                  std::this_thread::sleep_for(std::chrono::milliseconds(5));
                  got.push_back(json);
                }),
                say_nothing);
    std::vector<std::string> sent;
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) alarm.raise(sent.emplace_back(std::to_string(i)));
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(90));
    CHECK(alarm.finish() == 0);
    CHECK(got == sent);
  }

  TEST_CASE("alarm: what fails is said and counted, and the next message is sent all the same") {
    std::vector<std::string> said;
    int sent = 0;
    Alarm alarm(one_way([&](const std::string&) {
                  if (++sent % 2 == 0) fail_input("nobody is there");
                }),
                [&](const std::string& line) { said.push_back(line); });
    for (int i = 0; i < 5; ++i) alarm.raise("{}");
    CHECK(alarm.finish() == 2);
    CHECK(sent == 5);
    CHECK(said == std::vector<std::string>(2, "nobody is there"));
  }

  TEST_CASE("alarm: no more than a thousand wait, and the end does not wait for ever") {
    std::atomic<bool> open = false;
    std::atomic<int> said = 0;
    Alarm alarm(one_way([&](const std::string&) {
                  while (!open) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                }),
                [&](const std::string&) { ++said; });
    const int raised = static_cast<int>(Alarm::most_waiting) + 11;
    for (int i = 0; i < raised; ++i) alarm.raise("{}");
    CHECK((said == 10 || said == 11));  // one may be on its way already
    CHECK(alarm.finish(0.05) == raised);
    open = true;
  }
}

TEST_CASE(
    "alarm by command: the JSON is on standard input, no shell reads the name, and no signal is blocked") {
  const TemporaryFolder folder;
  const std::string out = (folder / "got").string();
  const std::string script = write_script(folder / "a b;c", "cat >>'" + out + "'\necho $# >>'" + out + "'\n");
  const auto way = alarm_by_command(script);
  way->send("{\"a\":\"$(x) 'y'\"}");
  CHECK(read_file(out, 1000) == "{\"a\":\"$(x) 'y'\"}\n0\n");
  const std::string ended = write_script(folder / "ended", "kill -TERM $$; sleep 5\n");
  CHECK_THROWS_WITH_AS(alarm_by_command(ended)->send("{}"), doctest::Contains("ended by signal 15"),
                       InputError);
}

TEST_CASE("alarm by command: a failure, a program that hangs and one that is not there") {
  const TemporaryFolder folder;
  const std::string failing = write_script(folder / "failing", "exit 3\n");
  CHECK_THROWS_WITH_AS(alarm_by_command(failing)->send("{}"),
                       doctest::Contains("failing ended with status 3"), InputError);
  const std::string hanging = write_script(folder / "hanging", "sleep 60 & wait\n");
  const auto begun = std::chrono::steady_clock::now();
  CHECK_THROWS_WITH_AS(alarm_by_command(hanging, 0.2)->send("{}"), doctest::Contains("more than 0.2 seconds"),
                       InputError);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(20));
  CHECK_THROWS_WITH_AS(alarm_by_command("no-such-program"),
                       doctest::Contains("no-such-program: no such program"), InputError);
  CHECK_THROWS_WITH_AS(alarm_by_command("echo hello"), doctest::Contains("belongs into a script"),
                       InputError);
  CHECK_THROWS_WITH_AS(alarm_by_command(folder.path().string()), doctest::Contains("no such program"),
                       InputError);
}

TEST_CASE("alarm by webhook: JSON is posted, a busy server is asked again, and a refusal is final") {
  std::vector<std::string> requests;
  FileServer server([&](const Request& request, int number) {
    requests.push_back(request.text);
    return Response{.status = number == 0   ? "503 Service Unavailable"
                              : number == 1 ? "204 No Content"
                                            : "403 Forbidden"};
  });
  std::unique_ptr<AlarmWay> way;
  try {
    way = alarm_by_webhook(server.address("hook?key=secret"));
  } catch (const InputError& error) {
    return skip(error.what());
  }
  way->send("{\"score\":1}");
  REQUIRE(requests.size() == 2);
  CHECK(requests[1].starts_with("POST /hook?key=secret HTTP/1.1\r\n"));
  CHECK(requests[1].find("Content-Type: application/json\r\n") != std::string::npos);
  CHECK(requests[1].ends_with("\r\n\r\n{\"score\":1}"));
  std::string why;
  try {
    way->send("{}");
  } catch (const InputError& error) {
    why = error.what();
  }
  CHECK(why.find("/hook?key=***: status 403") != std::string::npos);
  CHECK(why.find("secret") == std::string::npos);
  CHECK(requests.size() == 3);
  CHECK_THROWS_WITH_AS(alarm_by_webhook("file:///etc/passwd"), doctest::Contains("http://"), InputError);
}

TEST_CASE("alarm by MQTT: an address names host, port, topic and who it is") {
  const MqttAddress plain = parse_mqtt_address("broker/a/b");
  CHECK((plain.host == "broker" && plain.port == 1883 && plain.topic == "a/b" && !plain.encrypted &&
         plain.user.empty()));
  const MqttAddress full = parse_mqtt_address("mqtts://me:p:w@[::1]:99/line 1");
  CHECK((full.host == "::1" && full.port == 99 && full.topic == "line 1" && full.encrypted));
  CHECK((full.user == "me" && full.password == "p:w"));
  CHECK(parse_mqtt_address("mqtts://h/t").port == 8883);
  for (const char* wrong :
       {"broker", "broker/", "/topic", "h:0/t", "h:70000/t", "h:x/t", "h:/t", "h/a/#", "h/+/b", ""}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_mqtt_address(wrong), InputError);
  }
}

TEST_CASE("alarm by MQTT: a broker on the loopback confirms a message") {
  Broker broker;
  const std::string address = fmt::format("127.0.0.1:{}/line", broker.port());
  std::unique_ptr<AlarmWay> way;
  try {
    way = alarm_by_mqtt(address, 5);
  } catch (const InputError& error) {
    return skip(error.what());
  }
  CHECK_THROWS_WITH_AS(way->send("{}"), doctest::Contains("127.0.0.1"), InputError);  // there is none yet
  if (!broker.start()) return skip("mosquitto, a broker, is not installed");
  const auto sent = [&] {
    try {
      way->send("{\"score\":1}");
      return true;
    } catch (const InputError&) {
      return false;
    }
  };
  CHECK(wait_until(sent));
  CHECK(sent());
}

TEST_CASE(
    "predict: anomalies are told, good images are not, and an alarm that does not arrive is a failure") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string model = (folder / "model").string(), images = (folder / "data/wood/test/good").string();
  const std::string out = (folder / "got").string();
  const std::string script = write_script(folder / "tell", "cat >>'" + out + "'\n");
  const std::string predict = "predict " + model + " " + images + " --json --on-anomaly " + script;
  const auto lines = json_lines_of(run_dinomaly(folder, predict + " --threshold 1e9").out);
  REQUIRE(lines.size() == 4);
  CHECK_FALSE(fs::exists(out));
  std::vector<double> scores;
  for (const json& line : lines) scores.push_back(line.at("score"));
  std::sort(scores.begin(), scores.end());
  const Outcome some =
      run_dinomaly(folder, predict + " --threshold " + std::to_string((scores[1] + scores[2]) / 2));
  CHECK_MESSAGE(some.status == 0, some.error);
  const auto told = json_lines_of(read_file(out, 100000));
  REQUIRE(told.size() == 2);
  for (const json& line : told) CHECK(line.at("anomalous") == true);
  fs::remove(out);
  const Outcome object =
      run_dinomaly(folder, predict + " --threshold 0 --object-by folder --object-threshold 0");
  CHECK_MESSAGE(object.status == 0, object.error);
  const auto told_of_object = json_lines_of(read_file(out, 100000));
  REQUIRE(told_of_object.size() == 1);  // the object, not its images
  CHECK(told_of_object[0].contains("object"));
  const std::string failing = write_script(folder / "tell", "exit 1\n");
  const Outcome lost = run_dinomaly(folder, predict + " --threshold 0");
  CHECK(lost.status == 2);
  CHECK(lost.error.find("4 alarms did not arrive") != std::string::npos);
  CHECK(run_dinomaly(folder, "predict " + model + " " + images + " --on-anomaly no-such-thing").status == 2);
}
