// The memory of the emulated GPU: a range of addresses that only its work may touch.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace emulator {

// Every block is filled with 0xff (a NaN in every type) when it is given out and when it is given back, and
// has a guard at either end. Outside of an Access the host may touch none of it: that is a segmentation
// fault, as with a GPU.
class DeviceMemory {
 public:
  static constexpr size_t total = size_t{4} << 30;

  DeviceMemory();

  void* allocate(size_t bytes);  // null: none left
  // Within an Access: fills the block and sets its guards, once, before anything else uses it.
  void prepare(void* block);
  // Within an Access. Throws Fault if `block` is not a block, or if something wrote beside it.
  void release(void* block);
  size_t available() const { return total - used_; }
  // Whether all of [data, data + bytes) lies in one block, or touches none.
  bool holds(const void* data, size_t bytes) const;
  bool is_foreign(const void* data) const;
  // Within an Access. Throws Fault if something wrote beside any block.
  void check_guards() const;

  class Access {
   public:
    explicit Access(DeviceMemory& memory);
    ~Access();
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    DeviceMemory& memory_;
  };

 private:
  static constexpr size_t guard = 256;

  struct Block {
    size_t bytes;
    bool prepared;
  };

  void protect(bool accessible);
  void check_guard(const char* block, size_t bytes) const;

  char* base_;
  size_t end_ = 0;   // of what was ever given out
  size_t used_ = 0;  // given out now, guards included
  bool accessible_ = false;
  std::map<const char*, Block> blocks_;
  std::map<size_t, std::vector<char*>> free_;
};

}  // namespace emulator
