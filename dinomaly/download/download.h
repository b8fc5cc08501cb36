// Files from the network, by libcurl: interrupted ones go on where they stopped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace dinomaly {

// Told the bytes that are there and how many there will be, 0 if that is unknown.
using DownloadProgress = std::function<void(int64_t done, int64_t total)>;

// What a download may take. A server that keeps silent for `patience` seconds counts as gone; a connection that breaks
// is tried again as long as bytes came, and `attempts` times when none came.
struct DownloadLimits {
  int64_t bytes = int64_t{8} << 30;
  int64_t patience = 60;
  int attempts = 3;
  double pause = 2;  // seconds before the next attempt
};

// Fetches `address` (http, https or file) into `part`, which may hold the beginning from an earlier call: the rest is asked
// for then, if the server still has the same file (ETag, kept in PART.etag), otherwise all of it. Redirects
// are followed; proxies are those of curl (https_proxy, no_proxy). Throws InputError naming address and cause: no network,
// a status such as 404, too many bytes, a disk that is full. `part` stays for
// the next call where the connection, a busy server or the disk was the cause, and is removed otherwise.
void download(const std::string& address, const std::filesystem::path& part,
              const DownloadProgress& progress = {}, const DownloadLimits& limits = {});

}  // namespace dinomaly
