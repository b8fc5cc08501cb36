"""Writes resize_expected.h: what PIL and torchvision make of images of pseudo-random bytes.

Needs Pillow, torch, torchvision. The two passes of PIL are asked for one after the other, because Pillow 13 swaps
them for some shapes.
"""
import pathlib

import numpy
import torch
import torchvision.transforms.v2.functional as functional
from PIL import Image

# width, height, channels, resized width, resized height
SIZES = [(40, 30, 3, 17, 11), (31, 57, 3, 64, 20), (100, 37, 1, 33, 80), (5, 90, 3, 28, 14), (128, 128, 3, 56, 56),
         (61, 61, 1, 61, 30), (90, 45, 3, 45, 45), (1, 1, 3, 9, 7), (300, 7, 1, 3, 7), (83, 211, 3, 84, 98)]


def test_image(seed, width, height, channels):
    state, values = seed, []
    for _ in range(width * height * channels):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append(state >> 56)
    return numpy.array(values, dtype=numpy.uint8).reshape(height, width, channels)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def main():
    lines = ["// Written by make_resize_expected.py.", "#pragma once", "", "#include <cstdint>", "",
             "// The FNV-1a hash of the bytes PIL gives for test_image(seed, width, height, channels), seed = 1, 2, ...",
             "struct ResizeHash {", "  int64_t width, height, channels, resized_width, resized_height;",
             "  uint64_t hash;", "};", "constexpr ResizeHash resize_hashes[] = {"]
    for seed, (width, height, channels, new_width, new_height) in enumerate(SIZES, 1):
        pixels = test_image(seed, width, height, channels)
        image = Image.fromarray(pixels if channels == 3 else pixels[:, :, 0])
        image = image.resize((new_width, height), Image.BILINEAR).resize((new_width, new_height), Image.BILINEAR)
        lines.append(f"    {{{width}, {height}, {channels}, {new_width}, {new_height}, {fnv(image.tobytes()):#x}}},")
    lines += ["};", "", "// torchvision's antialiased 4 x 6 (rows x columns) of test_image(99, 7, 9, 1) / 255.",
              "constexpr float torch_resized[] = {"]
    image = torch.from_numpy(test_image(99, 7, 9, 1)).permute(2, 0, 1).contiguous().float() / 255
    for row in functional.resize(image, [4, 6], antialias=True)[0].tolist():
        lines.append("    " + ", ".join(f"{value:.9g}f" for value in row) + ",")
    lines += ["};", ""]
    pathlib.Path(__file__).with_name("resize_expected.h").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
