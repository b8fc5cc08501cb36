// Python's pickle format as data. A pickle is a program for a stack machine that may import and call
// anything. This reader runs the machine and notes what would be imported and called, but does neither.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace dinomaly {

// One Python value; others are named by their index in Pickle::nodes, so shared and cyclic values cost
// nothing and nothing here recurses.
struct PickleNode {
  enum class Kind : uint8_t {
    none,
    boolean,  // integer is 0 or 1
    integer,
    real,
    text,        // str and bytes
    list,        // items; also a set
    tuple,       // items
    dict,        // items: key, value, key, value, ...
    global,      // the name text.text2 ("torch._utils" . "_rebuild_tensor_v2")
    call,        // items[0](*items[1]); then keys and values, or elements, that were put into the result
    persistent,  // an object the pickle's owner must supply; items[0] says which
    other,       // an integer of more than 64 bits
  };
  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string_view text = {}, text2 = {};  // into the pickle's bytes
  std::vector<uint32_t> items = {};
};

struct Pickle {
  std::deque<PickleNode> nodes;  // no reallocation as they grow
  uint32_t root = 0;
};

// Runs protocols 2 to 5. The result points into `bytes` and holds at most one node for each of them. Throws
// InputError beginning with `source` for a pickle that is cut short, longer than 4 MiB (those of whole models
// and optimizers are a few hundred KB; a hostile one can cost 85 bytes per byte), or uses an opcode that
// PyTorch's files do not need.
Pickle parse_pickle(std::string_view bytes, const std::string& source);

}  // namespace dinomaly
