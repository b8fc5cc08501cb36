// The opcodes of Python's pickle format that PyTorch's files use, by the names of Python's pickletools.
#pragma once

#include <cstdint>

namespace dinomaly::pickle_opcode {

// clang-format off
// Values.
inline constexpr uint8_t NONE = 'N', NEWTRUE = 0x88, NEWFALSE = 0x89, BININT = 'J', BININT1 = 'K',
    BININT2 = 'M', LONG1 = 0x8a, LONG4 = 0x8b, BINFLOAT = 'G';
// Text and bytes.
inline constexpr uint8_t BINSTRING = 'T', SHORT_BINSTRING = 'U', BINUNICODE = 'X', SHORT_BINUNICODE = 0x8c,
    BINUNICODE8 = 0x8d, BINBYTES = 'B', SHORT_BINBYTES = 'C', BINBYTES8 = 0x8e, BYTEARRAY8 = 0x96;
// Containers.
inline constexpr uint8_t MARK = '(', POP_MARK = '1', EMPTY_LIST = ']', APPEND = 'a', APPENDS = 'e',
    LIST = 'l', EMPTY_SET = 0x8f, ADDITEMS = 0x90, FROZENSET = 0x91, EMPTY_TUPLE = ')', TUPLE = 't',
    TUPLE1 = 0x85, TUPLE2 = 0x86, TUPLE3 = 0x87, EMPTY_DICT = '}', DICT = 'd', SETITEM = 's',
    SETITEMS = 'u';
// Imports, calls and related opcodes.
inline constexpr uint8_t GLOBAL = 'c', STACK_GLOBAL = 0x93, REDUCE = 'R', NEWOBJ = 0x81, NEWOBJ_EX = 0x92,
    BUILD = 'b', BINPERSID = 'Q';
// The memo and the stack.
inline constexpr uint8_t BINGET = 'h', LONG_BINGET = 'j', BINPUT = 'q', LONG_BINPUT = 'r', MEMOIZE = 0x94,
    POP = '0', DUP = '2';
// Frame.
inline constexpr uint8_t PROTO = 0x80, FRAME = 0x95, STOP = '.';
// clang-format on

}  // namespace dinomaly::pickle_opcode
