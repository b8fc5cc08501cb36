// The loops of a product of many rows with one matrix around amx_product(), for bf16 (packed_product.cpp) and int8
// (quantized_matmul.cpp).
#pragma once

#include "backends/cpu/amx.h"
#include "backends/cpu/product.h"
#include "tensor/storage.h"
#include "tensor/threads.h"

namespace nabla {

#ifdef __AVX512BF16__

// Columns of b are packed 64 at a time, a panel: two operands of amx_product() one after the other.
inline constexpr int64_t amx_columns = 64;
template <class E>
int64_t amx_panel_bytes(int64_t k) {
  return 2 * amx_steps<E>(k) * amx_step_bytes;
}

// How a product is cut: each task multiplies some rows by some panels. The panels of a task, up to 1 MB, stay in the
// second-level cache while its rows pass by, and 32 of those rows, a part of their depth, in the first-level cache.
struct AmxCut {
  int64_t row_tiles, panels, panels_together, tiles_together;

  AmxCut(int64_t m, int64_t n, int64_t panel_bytes)
      : row_tiles(pieces_of(m, amx_rows)), panels(pieces_of(n, amx_columns)) {
    const int64_t most = std::max<int64_t>(1, (int64_t{1} << 20) / panel_bytes);
    panels_together = even_part(panels, most);
    // Some 8 tasks for each thread, but none of less than some 30 us.
    const int64_t groups = pieces_of(panels, panels_together);
    const int64_t wanted = row_tiles * groups / (8 * num_threads());
    tiles_together = even_part(row_tiles, std::max({int64_t{1}, wanted, 16 / panels_together}));
  }
  int64_t tasks() const { return pieces_of(panels, panels_together) * pieces_of(row_tiles, tiles_together); }

  // At most `most`, such that all parts are nearly equal.
  static int64_t even_part(int64_t count, int64_t most) { return pieces_of(count, pieces_of(count, most)); }
};

// The sums of 32 rows by 64 columns that finish() is still to be called for, a few lines at a time.
template <class Sum, class Finish>
class AmxPending {
 public:
  explicit AmxPending(const Finish& finish) : finish_(finish) {}

  void begin(const Sum* sums, int64_t tile, int64_t panel) {
    sums_ = sums;
    tile_ = tile;
    panel_ = panel;
    line_ = 0;
  }
  [[gnu::noinline]] void finish_lines(int64_t most) {
    const int64_t end = std::min(line_ + most, amx_rows);
    if (line_ < end) finish_(sums_, tile_, panel_, line_, end);
    line_ = end;
  }

 private:
  const Finish& finish_;
  const Sum* sums_ = nullptr;
  int64_t tile_ = 0, panel_ = 0, line_ = amx_rows;
};

// For each 32 rows (tile) and 64 columns (panel) of a product, finish(sums (32, 64), tile, panel, begin, end) for all of its
// lines [begin, end), while the next sums are made. left(tile, first, steps, room) is where the steps [first, first + steps)
// of a tile's rows are in tile order; it may use `room` for them. packed: the panels of b (k, n), one after the other.
template <class E, class Left, class Finish>
void amx_matmul(int64_t m, int64_t n, int64_t k, const void* packed, const Left& left, const Finish& finish) {
  using Sum = typename AmxProduct<E>::Sum;
  constexpr int64_t most_steps = 16, panel_sums = amx_rows * amx_columns;  // 32 KB of a
  const int64_t steps = amx_steps<E>(k), panel_bytes = amx_panel_bytes<E>(k);
  const AmxCut cut(m, n, panel_bytes);
  const int64_t row_parts = pieces_of(cut.row_tiles, cut.tiles_together);
  parallel_tasks(cut.tasks(), [&](int64_t task) {
    const AmxTiles tiles;
    const int64_t panel = task / row_parts * cut.panels_together,
                  last_panel = std::min(panel + cut.panels_together, cut.panels), panels = last_panel - panel;
    const int64_t tile = task % row_parts * cut.tiles_together,
                  last_tile = std::min(tile + cut.tiles_together, cut.row_tiles);
    // Sums of all panels where the depth is taken in parts, and always those that are finished and those that are made.
    const int64_t places = steps > most_steps ? std::max(panels, int64_t{2}) : 2;
    const Storage room(
        static_cast<size_t>(most_steps * amx_step_bytes + places * panel_sums * int64_t{sizeof(Sum)}),
        Device::cpu());
    auto* const sums = reinterpret_cast<Sum*>(static_cast<char*>(room.data()) + most_steps * amx_step_bytes);
    AmxPending<Sum, Finish> pending(finish);
    // The lines of a panel are finished at pauses of the next panel's two products, or of the first part of their depth: a few
    // at once, as each time constants are brought into registers.
    constexpr int64_t lines = 4;
    const int64_t every = 2 * amx_pauses(std::min(steps, most_steps)) * lines / amx_rows;
    for (int64_t t = tile; t < last_tile; ++t) {
      for (int64_t step = 0; step < steps; step += most_steps) {
        const int64_t part = std::min(most_steps, steps - step);
        const void* const a = left(t, step, part, room.data());
        for (int64_t p = panel; p < last_panel; ++p) {
          Sum* const c = sums + ((t - tile) * panels + p - panel) % places * panel_sums;
          const char* const b = static_cast<const char*>(packed) + p * panel_bytes + step * amx_step_bytes;
          for (const int64_t half : {0, 1})
            amx_product<E>(a, b + half * panel_bytes / 2, part, step > 0, c + half * amx_columns / 2,
                           amx_columns, every, [&] { pending.finish_lines(lines); });
          if (step + part < steps) continue;
          pending.finish_lines(amx_rows);  // what is left of the panel before
          pending.begin(c, t, p);
        }
      }
    }
    pending.finish_lines(amx_rows);  // the last panel
  });
}

#endif

}  // namespace nabla
