#include "dinomaly/download/download.h"

#include <curl/curl.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

struct CurlEnd {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

int64_t size_of(const fs::path& file) {
  std::error_code error;
  const uintmax_t size = fs::file_size(file, error);
  return error ? 0 : static_cast<int64_t>(size);
}

// One request: what comes is appended to the part.
class Transfer {
 public:
  Transfer(const std::string& address, const fs::path& part, const DownloadProgress& progress,
           const DownloadLimits& limits)
      : address_(address), part_(part), progress_(progress), limits_(limits), had_(size_of(part)) {}

  CURLcode run() {
    const std::unique_ptr<CURL, CurlEnd> handle(curl_easy_init());
    if (!handle) throw std::bad_alloc();
    file_.reset(std::fopen(part_.c_str(), "ab"));
    check_input(file_ != nullptr, "{}: cannot be written: {}", part_.string(), std::strerror(errno));
    const std::unique_ptr<curl_slist, CurlEnd> headers = condition();
    const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handle.get(), option, value); };
    set(CURLOPT_URL, address_.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https,file");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 10L);
    set(CURLOPT_FAILONERROR, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "dinomaly.cpp");
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(limits_.patience));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits_.patience));
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(had_));
    set(CURLOPT_ERRORBUFFER, message_);
    set(CURLOPT_WRITEDATA, this);
    set(
        CURLOPT_WRITEFUNCTION, +[](char* bytes, size_t size, size_t count, void* self) {
          return static_cast<Transfer*>(self)->write(bytes, size * count);
        });
    set(CURLOPT_HEADERDATA, this);
    set(
        CURLOPT_HEADERFUNCTION, +[](char* line, size_t size, size_t count, void* self) {
          static_cast<Transfer*>(self)->read_header({line, size * count});
          return size * count;
        });
    handle_ = handle.get();
    const CURLcode code = curl_easy_perform(handle.get());
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status_);
    if (std::fclose(file_.release()) != 0 && fault_.empty()) fault_ = std::strerror(errno);
    return code;
  }

  int64_t received() const { return received_; }
  long status() const { return status_; }
  bool too_large() const { return had_ + received_ > limits_.bytes; }
  const std::string& fault() const { return fault_; }  // of our own: the disk, the limit
  std::string message(CURLcode code) const {
    return message_[0] != '\0' ? std::string(message_) : curl_easy_strerror(code);
  }
  static fs::path tag_file(const fs::path& part) { return part.string() + ".etag"; }

 private:
  // The rest only of the file that the beginning came from.
  std::unique_ptr<curl_slist, CurlEnd> condition() const {
    const fs::path file = tag_file(part_);
    if (had_ == 0 || !fs::exists(file)) return nullptr;
    const std::string tag = read_file(file, 1 << 16);
    return std::unique_ptr<curl_slist, CurlEnd>(curl_slist_append(nullptr, ("If-Range: " + tag).c_str()));
  }

  size_t write(const char* bytes, size_t count) {
    if (!fault_.empty()) return 0;
    received_ += static_cast<int64_t>(count);
    if (too_large()) {
      fault_ = fmt::format("is larger than {} bytes", limits_.bytes);
      return 0;
    }
    if (std::fwrite(bytes, 1, count, file_.get()) != count) {
      fault_ = std::strerror(errno);
      return 0;
    }
    curl_off_t length = -1;
    curl_easy_getinfo(handle_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (progress_) progress_(had_ + received_, length > 0 ? had_ + length : 0);
    return count;
  }

  void read_header(std::string line) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || lower(line.substr(0, colon)) != "etag") return;
    const size_t begin = line.find('"', colon), end = line.rfind('"');
    // A weak tag (W/"...") does not promise the same bytes.
    if (line.find("W/") != std::string::npos || begin == std::string::npos || end <= begin) return;
    try {  // an exception may not pass through libcurl
      write_file(tag_file(part_), line.substr(begin, end - begin + 1));
    } catch (const std::exception& error) {
      fault_ = error.what();
    }
  }

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  const std::string& address_;
  const fs::path& part_;
  const DownloadProgress& progress_;
  const DownloadLimits& limits_;
  int64_t had_, received_ = 0;
  CURL* handle_ = nullptr;  // while it runs
  long status_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
  std::string fault_;
  char message_[CURL_ERROR_SIZE] = {};
};

void remove_part(const fs::path& part) {
  std::error_code ignored;
  fs::remove(part, ignored);
  fs::remove(Transfer::tag_file(part), ignored);
}

// What another attempt may mend: the way there, not what is found.
bool is_of_the_connection(CURLcode code, long status) {
  switch (code) {
    case CURLE_HTTP_RETURNED_ERROR:
      return status >= 500 || status == 429 || status == 408;  // the server is too busy
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

}  // namespace

void download(const std::string& address, const fs::path& part, const DownloadProgress& progress,
              const DownloadLimits& limits) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  check(ready == CURLE_OK, "curl: {}", curl_easy_strerror(ready));
  for (int left = limits.attempts; left > 0;) {
    // Without a tag nobody knows which file the beginning is of.
    if (!fs::exists(Transfer::tag_file(part))) remove_part(part);
    const bool had_some = size_of(part) > 0;
    Transfer transfer(address, part, progress, limits);
    const CURLcode code = transfer.run();
    if (code == CURLE_OK && transfer.fault().empty()) {
      std::error_code ignored;
      fs::remove(Transfer::tag_file(part), ignored);
      return;
    }
    if (!transfer.fault().empty()) {
      if (transfer.too_large() || size_of(part) == 0) remove_part(part);
      fail_input("{}: {}: {}", printable(address, 300), part.string(), transfer.fault());
    }
    // The server knows no ranges, has another file by now, or less of it than we have: all of it, then.
    if (had_some && (code == CURLE_RANGE_ERROR || transfer.status() == 416)) {
      remove_part(part);
      continue;
    }
    if (!is_of_the_connection(code, transfer.status())) {
      remove_part(part);
      fail_input("{}: {}", printable(address, 300), printable(transfer.message(code), 300));
    }
    left = transfer.received() > 0 ? limits.attempts : left - 1;
    if (left == 0) {
      if (size_of(part) == 0) remove_part(part);
      fail_input("{}: {}", printable(address, 300), printable(transfer.message(code), 300));
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(limits.pause));
  }
}

}  // namespace dinomaly
