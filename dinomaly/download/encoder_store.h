// Encoders by name, kept on this machine.
//
// They lie in $DINOMALY_HOME, else $XDG_CACHE_HOME/dinomaly, else ~/.cache/dinomaly, under their publisher's file names. A
// file is there whole or not at all: it is fetched under a name that ends in .part, read as an encoder of the shape that
// its name promises, and renamed. Its SHA-256 is written beside it (FILE.sha256) and compared whenever it is used.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "dinomaly/download/download.h"
#include "dinomaly/download/named_encoders.h"

namespace dinomaly {

// Throws InputError where none of the three variables says where it is.
std::filesystem::path encoder_store();

// Where the encoder's file is, or would be.
std::filesystem::path stored_file(const NamedEncoder& encoder);

// Where it is fetched from: its publisher, or $DINOMALY_MIRROR/FILE, of a company that keeps copies (file:// too).
std::string address_of(const NamedEncoder& encoder);

struct FetchOptions {
  bool offline = false;                    // nothing is fetched. So is it with DINOMALY_OFFLINE=1
  std::optional<std::string> sha256 = {};  // what the file must have
  DownloadProgress progress = {};
  DownloadLimits limits = {};
  // What fetches an address into a file in the place of download(), all of it or, with an exception, nothing.
  std::function<void(const std::string& address, const std::filesystem::path& part)> downloader = {};
};

struct StoredEncoder {
  std::filesystem::path file;
  std::string sha256;  // of the file
};

// The file of an encoder, which is fetched if it is not there. Two processes that ask at once fetch it once: one waits.
// Throws InputError, with no file left of what was fetched, where it is not there and cannot be fetched, is no encoder of its name's shape, or
// its SHA-256 is not what was noted beside it, or asked for.
StoredEncoder fetch_encoder(const NamedEncoder& encoder, const FetchOptions& options = {});

// Whether its file is there. Throws InputError where that cannot be told, or what is there is no file.
bool is_stored(const NamedEncoder& encoder);

// Reads the stored file again and compares its SHA-256. Throws InputError naming what is wrong. Returns the SHA-256.
std::string verify_encoder(const NamedEncoder& encoder);

}  // namespace dinomaly
