// The secret that clients must send.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace dinomaly {

// The one line of a file, without spaces around it. Throws InputError naming the file for one that has not 16 to 256
// visible ASCII characters, which is what a header can hold.
std::string read_token(const std::filesystem::path& file);

// Whether "Authorization: HEADER" holds the token ("Bearer TOKEN"). How long it takes does not depend on where they differ.
bool is_authorised(std::string_view header, const std::string& token);

}  // namespace dinomaly
