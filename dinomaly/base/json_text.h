// JSON as text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace dinomaly {

// Names come from file systems and need not be UTF-8; they are shown as by utf8(). indent -1: on one line.
std::string json_text(const nlohmann::json& value, int indent = -1);

// The value of a JSON text. `what` names it in the InputError: it also shows where the text stops being JSON.
nlohmann::json parse_json(const std::string& text, const std::string& what);

// Numbers as people read them: an f32 with the fewest digits that are this f32 (0.7, not 0.699999988079071), other
// doubles with at most `digits` significant ones. The default changes no value but those of f32.
inline constexpr int printed_digits = 9;  // for what nothing is computed from
nlohmann::json short_numbers(nlohmann::json value, int digits = 17);
double short_number(double value, int digits = 17);

// The text as UTF-8: bytes that are none become "\\xE4", four characters each, so that two names stay two.
std::string utf8(const std::string& text);

}  // namespace dinomaly
