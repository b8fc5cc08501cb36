// Written by make_resize_expected.py.
#pragma once

#include <cstdint>

// The FNV-1a hash of the bytes PIL gives for image(seed, width, height, channels), seed = 1, 2, ...
struct ResizeHash {
  int64_t width, height, channels, resized_width, resized_height;
  uint64_t hash;
};
constexpr ResizeHash resize_hashes[] = {
    {40, 30, 3, 17, 11, 0xb9236ff30ddb90f3},   {31, 57, 3, 64, 20, 0x64e319f58a8f777f},
    {100, 37, 1, 33, 80, 0x39438496c7a66eac},  {5, 90, 3, 28, 14, 0x5f08c227d616de5b},
    {128, 128, 3, 56, 56, 0xb01ffd4fb9a74d14}, {61, 61, 1, 61, 30, 0x5b57e74e3f647071},
    {90, 45, 3, 45, 45, 0x58830f2fc920d54d},   {1, 1, 3, 9, 7, 0xdbdd1fcb0490bb8d},
    {300, 7, 1, 3, 7, 0x4ecdae2e66ef0b4f},     {83, 211, 3, 84, 98, 0xe60b4f5efc84f7b5},
};

// torchvision's antialiased 4 x 6 (rows x columns) of image(99, 7, 9, 1) / 255.
constexpr float torch_resized[] = {
    0.510903418f, 0.744965017f, 0.725987434f, 0.429516882f, 0.615077078f, 0.584033728f,
    0.494978458f, 0.632861018f, 0.647949576f, 0.499886394f, 0.497208267f, 0.665142238f,
    0.278957397f, 0.436531574f, 0.385276169f, 0.467162669f, 0.507012188f, 0.629423678f,
    0.366008431f, 0.382303953f, 0.282885134f, 0.610742211f, 0.427486032f, 0.677233875f,
};
