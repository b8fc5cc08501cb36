// pack_encoder FILE PACKED: makes of an encoder's file what becomes part of the programs (dinomaly/weights/bundled_encoder.cpp):
// its size in 8 bytes, little endian, its bytes of even places, and, deflated, those of odd ones. Of a bf16 the latter hold
// sign and exponent, which shrink to a third, the former the fraction, which does not shrink: 7.3 MB of 11, where the file
// deflated as it is takes 8.6. An empty file stays empty.
#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: pack_encoder FILE PACKED\n");
    return 2;
  }
  std::ifstream in(argv[1], std::ios::binary);
  const std::vector<unsigned char> file{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) {
    std::fprintf(stderr, "pack_encoder: %s cannot be read\n", argv[1]);
    return 2;
  }
  std::vector<unsigned char> odd, packed;
  if (!file.empty()) {
    for (size_t i = 0; i < 8; ++i)
      packed.push_back(static_cast<unsigned char>(uint64_t{file.size()} >> (8 * i)));
    for (size_t i = 0; i < file.size(); ++i) (i % 2 == 0 ? packed : odd).push_back(file[i]);
    // Nothing repeats but single bytes: without the search for more, less is written, in a hundredth of the time.
    z_stream stream{};
    if (::deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS, MAX_MEM_LEVEL, Z_HUFFMAN_ONLY) !=
        Z_OK)
      return 1;
    std::vector<unsigned char> deflated(::deflateBound(&stream, odd.size()));
    stream.next_in = odd.data(), stream.avail_in = static_cast<uInt>(odd.size());
    stream.next_out = deflated.data(), stream.avail_out = static_cast<uInt>(deflated.size());
    if (::deflate(&stream, Z_FINISH) != Z_STREAM_END) return 1;
    packed.insert(packed.end(), deflated.data(), deflated.data() + stream.total_out);
    ::deflateEnd(&stream);
  }
  std::ofstream out(argv[2], std::ios::binary);
  out.write(reinterpret_cast<const char*>(packed.data()), static_cast<std::streamsize>(packed.size()));
  out.close();
  if (!out) {
    std::fprintf(stderr, "pack_encoder: %s cannot be written\n", argv[2]);
    return 1;
  }
  return 0;
}
