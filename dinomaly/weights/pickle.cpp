#include "dinomaly/weights/pickle.h"

#include <bit>
#include <cstring>
#include <unordered_map>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/weights/pickle_opcodes.h"
#include "tensor/error.h"

namespace dinomaly {
namespace {

using Kind = PickleNode::Kind;
using namespace pickle_opcode;

constexpr size_t longest_pickle = size_t{4} << 20;

class Machine {
 public:
  Machine(std::string_view bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  Pickle run() {
    check_input(bytes_.size() <= longest_pickle, "{}: a pickle of {} bytes, more than {}", source_,
                bytes_.size(), longest_pickle);
    for (uint8_t opcode = next_byte(); opcode != STOP; opcode = next_byte()) {
      const bool known =
          scalar(opcode) || text(opcode) || container(opcode) || object(opcode) || memo(opcode);
      if (!known) fault("opcode {:#04x}, which PyTorch does not write", opcode);
    }
    result_.root = pop();
    return std::move(result_);
  }

 private:
  template <class... Args>
  [[noreturn]] void fault(fmt::format_string<Args...> format, Args&&... args) const {
    fail_input("{}: not a PyTorch pickle: {} at byte {}", source_,
               fmt::format(format, std::forward<Args>(args)...), at_);
  }

  // --- Reading.
  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - at_)
      fault("cut short: {} announced, {} left", counted(count, "byte is", "bytes are"), bytes_.size() - at_);
    const std::string_view part = bytes_.substr(at_, count);
    at_ += count;
    return part;
  }
  uint8_t next_byte() { return static_cast<uint8_t>(take(1)[0]); }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fault("cut short in a name");
    const std::string_view result = take(end - at_);
    take(1);
    return result;
  }

  // --- The stack.
  uint32_t add(PickleNode node) {
    result_.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(result_.nodes.size() - 1);
  }
  void push(PickleNode node) { stack_.push_back(add(std::move(node))); }
  void push(Kind kind, std::vector<uint32_t> items) {
    push(PickleNode{.kind = kind, .items = std::move(items)});
  }
  uint32_t pop() {
    if (stack_.size() <= floor()) fault("the stack is empty");
    const uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleNode& top() {
    if (stack_.size() <= floor()) fault("the stack is empty");
    return result_.nodes[stack_.back()];
  }
  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) fault("there is no mark");
    std::vector<uint32_t> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<uint32_t> pop_some(size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }
  void extend_top(const std::vector<uint32_t>& items, bool pairs) {
    PickleNode& target = top();
    const bool fits = target.kind == Kind::call || target.kind == (pairs ? Kind::dict : Kind::list);
    if (!fits || (pairs && items.size() % 2 != 0))
      fault("items are added to something that is not a container");
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  // --- The opcodes, by what they make. False: not one of these.
  void push_integer(int64_t value) { push({.kind = Kind::integer, .integer = value}); }
  void push_long(uint64_t length) {
    const std::string_view digits = take(length);
    if (length > sizeof(int64_t)) return push({.kind = Kind::other});
    int64_t value = length > 0 && (digits.back() & 0x80) ? -1 : 0;
    std::memcpy(&value, digits.data(), length);
    push_integer(value);
  }
  void push_real() {
    push({.kind = Kind::real, .real = std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()))});
  }
  void check_protocol(uint8_t protocol) const {
    if (protocol > 5) fault("protocol {}", protocol);
  }
  bool scalar(uint8_t opcode) {
    if (opcode == PROTO) return check_protocol(next_byte()), true;
    if (opcode == FRAME) return take(sizeof(uint64_t)), true;
    if (opcode == NONE) return push(PickleNode{}), true;
    if (opcode == NEWTRUE) return push({.kind = Kind::boolean, .integer = 1}), true;
    if (opcode == NEWFALSE) return push({.kind = Kind::boolean, .integer = 0}), true;
    if (opcode == BININT) return push_integer(number<int32_t>()), true;
    if (opcode == BININT1) return push_integer(number<uint8_t>()), true;
    if (opcode == BININT2) return push_integer(number<uint16_t>()), true;
    if (opcode == LONG1) return push_long(number<uint8_t>()), true;
    if (opcode == LONG4) return push_long(number<uint32_t>()), true;
    if (opcode == BINFLOAT) return push_real(), true;
    return false;
  }

  void push_text(uint64_t length) { push({.kind = Kind::text, .text = take(length)}); }
  bool text(uint8_t opcode) {
    const auto is = [&](auto... codes) { return ((opcode == codes) || ...); };
    if (is(SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE)) return push_text(number<uint8_t>()), true;
    if (is(BINSTRING, BINBYTES, BINUNICODE)) return push_text(number<uint32_t>()), true;
    if (is(BINUNICODE8, BINBYTES8, BYTEARRAY8)) return push_text(number<uint64_t>()), true;
    return false;
  }

  void push_dict(const std::vector<uint32_t>& items) {
    push(Kind::dict, {});
    extend_top(items, true);
  }
  bool container(uint8_t opcode) {
    if (opcode == MARK) return marks_.push_back(stack_.size()), true;
    if (opcode == POP_MARK) return pop_to_mark(), true;
    if (opcode == EMPTY_LIST || opcode == EMPTY_SET) return push(Kind::list, {}), true;
    if (opcode == LIST || opcode == FROZENSET) return push(Kind::list, pop_to_mark()), true;
    if (opcode == EMPTY_TUPLE) return push(Kind::tuple, {}), true;
    if (opcode == TUPLE) return push(Kind::tuple, pop_to_mark()), true;
    if (opcode >= TUPLE1 && opcode <= TUPLE3) return push(Kind::tuple, pop_some(opcode - TUPLE1 + 1)), true;
    if (opcode == EMPTY_DICT) return push(Kind::dict, {}), true;
    if (opcode == DICT) return push_dict(pop_to_mark()), true;
    if (opcode == APPEND) return extend_top(pop_some(1), false), true;
    if (opcode == APPENDS || opcode == ADDITEMS) return extend_top(pop_to_mark(), false), true;
    if (opcode == SETITEM) return extend_top(pop_some(2), true), true;
    if (opcode == SETITEMS) return extend_top(pop_to_mark(), true), true;
    return false;
  }

  void import_by_line() {
    const std::string_view module = line();
    push({.kind = Kind::global, .text = module, .text2 = line()});
  }
  void import_from_stack() {
    const std::vector<uint32_t> names = pop_some(2);
    const PickleNode &module = result_.nodes[names[0]], &name = result_.nodes[names[1]];
    if (module.kind != Kind::text || name.kind != Kind::text) fault("an import without a name");
    push({.kind = Kind::global, .text = module.text, .text2 = name.text});
  }
  void call_with_keywords() {
    const std::vector<uint32_t> parts = pop_some(3);  // the keyword arguments are not looked at
    push(Kind::call, {parts[0], parts[1]});
  }
  void build() {  // attributes are of no use here
    pop();
    top();
  }
  bool object(uint8_t opcode) {
    if (opcode == GLOBAL) return import_by_line(), true;
    if (opcode == STACK_GLOBAL) return import_from_stack(), true;
    if (opcode == REDUCE || opcode == NEWOBJ) return push(Kind::call, pop_some(2)), true;
    if (opcode == NEWOBJ_EX) return call_with_keywords(), true;
    if (opcode == BUILD) return build(), true;
    if (opcode == BINPERSID) return push(Kind::persistent, pop_some(1)), true;
    return false;
  }

  void get(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fault("the memo has no entry {}", key);
    stack_.push_back(found->second);
  }
  void put(uint32_t key) {
    top();
    memo_[key] = stack_.back();
  }
  void duplicate() {
    top();
    stack_.push_back(stack_.back());
  }
  bool memo(uint8_t opcode) {
    if (opcode == BINGET) return get(number<uint8_t>()), true;
    if (opcode == LONG_BINGET) return get(number<uint32_t>()), true;
    if (opcode == BINPUT) return put(number<uint8_t>()), true;
    if (opcode == LONG_BINPUT) return put(number<uint32_t>()), true;
    if (opcode == MEMOIZE) return put(static_cast<uint32_t>(memo_.size())), true;
    if (opcode == POP) return pop(), true;
    if (opcode == DUP) return duplicate(), true;
    return false;
  }

  std::string_view bytes_;
  const std::string& source_;
  size_t at_ = 0;
  Pickle result_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;  // the stack's size at each MARK
  std::unordered_map<uint32_t, uint32_t> memo_;
};

}  // namespace

Pickle parse_pickle(std::string_view bytes, const std::string& source) {
  return Machine(bytes, source).run();
}

}  // namespace dinomaly
