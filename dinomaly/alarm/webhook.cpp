#include "dinomaly/alarm/webhook.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/shown_address.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

constexpr int attempts = 3;

// The answer's text is of no use.
size_t drop(char*, size_t size, size_t count, void*) { return size * count; }

class Webhook : public AlarmWay {
 public:
  explicit Webhook(std::string address)
      : address_(std::move(address)), shown_(printable(shown_address(address_), 300)) {
    check(curl_ != nullptr && headers_ != nullptr, "webhook: no memory");
    curl_easy_setopt(curl_.get(), CURLOPT_URL, address_.c_str());
    curl_easy_setopt(curl_.get(), CURLOPT_HTTPHEADER, headers_.get());
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(curl_.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_.get(), CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(curl_.get(), CURLOPT_TIMEOUT, 15L);
  }

  void send(const std::string& json) override {
    curl_easy_setopt(curl_.get(), CURLOPT_POSTFIELDS, json.c_str());
    curl_easy_setopt(curl_.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json.size()));
    std::string why;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(500 << attempt));
      const CURLcode result = curl_easy_perform(curl_.get());
      long status = 0;
      curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
      if (result == CURLE_OK && status >= 200 && status < 300) return;
      why = result == CURLE_OK ? "status " + std::to_string(status) : curl_easy_strerror(result);
      if (result == CURLE_OK && status < 500 && status != 429) break;
    }
    fail_input("--webhook: {}: {}", shown_, why);
  }

 private:
  struct Free {
    void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  std::string address_, shown_;
  std::unique_ptr<CURL, Free> curl_{curl_easy_init()};
  std::unique_ptr<curl_slist, Free> headers_{curl_slist_append(nullptr, "Content-Type: application/json")};
};

}  // namespace

std::unique_ptr<AlarmWay> alarm_by_webhook(const std::string& address) {
  check_input(address.starts_with("http://") || address.starts_with("https://"),
              "--webhook: '{}' is no address that begins with http:// or https://", printable(address, 300));
  return std::make_unique<Webhook>(address);
}

}  // namespace dinomaly
