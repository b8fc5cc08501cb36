#include "dinomaly/alarm/mqtt.h"

#include <mosquitto.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int quality = 1, keep_alive = 30;

class Mqtt : public AlarmWay {
 public:
  Mqtt(MqttAddress address, double seconds) : address_(std::move(address)), patience_(seconds) {
    static const int begun = mosquitto_lib_init();
    check(begun == MOSQ_ERR_SUCCESS, "mqtt: libmosquitto cannot start");
    client_.reset(mosquitto_new(nullptr, true, this));
    check(client_ != nullptr, "mqtt: no memory");
    mosquitto_connect_callback_set(
        client_.get(), [](mosquitto*, void* self, int code) { static_cast<Mqtt*>(self)->answered(code); });
    mosquitto_disconnect_callback_set(
        client_.get(), [](mosquitto*, void* self, int) { static_cast<Mqtt*>(self)->connected(false); });
    mosquitto_publish_callback_set(client_.get(), [](mosquitto*, void* self, int message) {
      static_cast<Mqtt*>(self)->arrived(message);
    });
    if (!address_.user.empty())
      checked(mosquitto_username_pw_set(client_.get(), address_.user.c_str(),
                                        address_.password.empty() ? nullptr : address_.password.c_str()));
    if (address_.encrypted)
      checked(mosquitto_tls_set(client_.get(), nullptr, "/etc/ssl/certs", nullptr, nullptr, nullptr));
  }
  ~Mqtt() override {
    mosquitto_disconnect(client_.get());
    if (begun_) mosquitto_loop_stop(client_.get(), true);
  }

  void send(const std::string& json) override {
    connect();
    int message = 0;
    std::unique_lock lock(mutex_);
    arrived_ = -1;
    lock.unlock();
    checked(mosquitto_publish(client_.get(), &message, address_.topic.c_str(), static_cast<int>(json.size()),
                              json.data(), quality, false));
    lock.lock();
    const bool came = changed_.wait_for(lock, patience_, [&] { return arrived_ == message; });
    check_input(came, "--mqtt: {}:{}: the broker has not confirmed a message within {} seconds",
                address_.host, address_.port, patience_.count());
  }

 private:
  void checked(int error) const {
    check_input(error == MOSQ_ERR_SUCCESS, "--mqtt: {}:{}: {}", address_.host, address_.port,
                mosquitto_strerror(error));
  }
  void connected(bool is) {
    const std::lock_guard lock(mutex_);
    connected_ = is;
    changed_.notify_all();
  }
  void answered(int code) {
    const std::lock_guard lock(mutex_);
    connected_ = code == 0;
    refusal_ = code;
    changed_.notify_all();
  }
  void arrived(int message) {
    const std::lock_guard lock(mutex_);
    arrived_ = message;
    changed_.notify_all();
  }
  void connect() {
    std::unique_lock lock(mutex_);
    if (connected_) return;
    refusal_ = 0;
    if (!begun_) {
      lock.unlock();
      checked(mosquitto_connect(client_.get(), address_.host.c_str(), address_.port, keep_alive));
      checked(mosquitto_loop_start(client_.get()));  // its thread makes a lost connection again
      begun_ = true;
      lock.lock();
    }
    changed_.wait_for(lock, patience_, [&] { return connected_ || refusal_ != 0; });
    check_input(refusal_ == 0, "--mqtt: {}:{}: {}", address_.host, address_.port,
                mosquitto_connack_string(refusal_));
    check_input(connected_, "--mqtt: {}:{}: the broker has not answered within {} seconds", address_.host,
                address_.port, patience_.count());
  }

  struct Free {
    void operator()(mosquitto* client) const { mosquitto_destroy(client); }
  };
  MqttAddress address_;
  std::chrono::duration<double> patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool connected_ = false, begun_ = false;
  int refusal_ = 0, arrived_ = -1;
  std::unique_ptr<mosquitto, Free> client_;
};

}  // namespace

std::unique_ptr<AlarmWay> alarm_by_mqtt(const std::string& address, double seconds) {
  return std::make_unique<Mqtt>(parse_mqtt_address(address), seconds);
}

}  // namespace dinomaly
