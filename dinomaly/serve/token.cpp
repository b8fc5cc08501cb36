#include "dinomaly/serve/token.h"

#include <algorithm>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/sha256.h"
#include "tensor/error.h"

namespace dinomaly {

std::string read_token(const std::filesystem::path& file) {
  constexpr const char* space = " \t\r\n";
  std::string token = read_file(file, 4096);
  token.erase(token.find_last_not_of(space) + 1);
  token.erase(0, token.find_first_not_of(space));
  const bool visible = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
  check_input(visible && token.size() >= 16 && token.size() <= 256,
              "--token: {} must hold one line of 16 to 256 visible ASCII characters (openssl rand -hex 32)",
              file.string());
  return token;
}

bool is_authorised(std::string_view header, const std::string& token) {
  // What the loop compares has one length whatever was sent, and says nothing of the token.
  const std::string sent = sha256_of(header), wanted = sha256_of("Bearer " + token);
  int difference = 0;
  for (size_t i = 0; i < wanted.size(); ++i) difference |= sent[i] ^ wanted[i];
  return difference == 0;
}

}  // namespace dinomaly
