"""Writes jpeg_expected.h: small JPEGs and the pixels that Pillow, which uses libjpeg-turbo, reads from them."""
import io
import pathlib

import numpy
from PIL import Image

WIDTH, HEIGHT = 40, 28  # no whole number of blocks
KINDS = [("baseline, colours half as fine", dict(quality=60, subsampling=2)),
         ("baseline, colours as fine", dict(quality=60, subsampling=0)),
         ("progressive", dict(quality=60, subsampling=2, progressive=True)),
         ("with restart markers", dict(quality=60, subsampling=1, restart_marker_blocks=2)),
         ("grey", dict(quality=60))]


def hexadecimal(data):
    text = data.hex()
    return "\n".join(f'     "{text[i:i + 96]}"' for i in range(0, len(text), 96))


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
drawn = numpy.stack([x * 6, y * 9, 255 * ((x // 5 + y // 7) % 2)], axis=2).astype(numpy.uint8)
entries = []
for name, options in KINDS:
    file = io.BytesIO()
    Image.fromarray(drawn).convert("L" if name == "grey" else "RGB").save(file, "JPEG", optimize=True, **options)
    rgb = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    entries.append(f'    {{"{name}", 0x{fnv(rgb.tobytes()):016x},\n{hexadecimal(file.getvalue())}}},')
pathlib.Path(__file__).with_name("jpeg_expected.h").write_text(f"""// Written by make_jpeg_expected.py.
#pragma once

#include <cstdint>

// A JPEG of {WIDTH} x {HEIGHT} pixels in hexadecimal digits, and the FNV-1a hash of the RGB that Pillow reads from it.
struct ExpectedJpeg {{
  const char* kind;
  uint64_t hash;
  const char* bytes;
}};
constexpr ExpectedJpeg expected_jpegs[] = {{
""" + "\n".join(entries) + "\n};\n")
