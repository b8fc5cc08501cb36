// out = P v with P = softmax(scale q k^T) over each row, per batch entry and head;
//   q (B, H, N, d), k and v (B, H, M, d) -> out (B, H, N, d), logsumexp (B, H, N) = log sum exp(scale q k^T).
// A block has one tile of queries and passes over the keys tile by tile, keeping each row's largest score and
// sum so far (Dao et al., "FlashAttention", 2022); no more of the N x M matrix exists than one tile.
// Backward, with P rebuilt as exp(scale q k^T - logsumexp) and delta_n = sum over d of dout * out:
//   dv = P^T dout,  dS = P * (dout v^T - delta) * scale,  dq = dS k,  dk = dS^T q.
// One pass has one tile of keys per block and gives dk and dv, a second one has one tile of queries per block
// and gives dq: each sum belongs to one thread and has a fixed order. To tune: the products of tiles on
// tensor cores (WMMA, then wgmma) for bf16 and d = 64, with tiles of bf16; registers in place of shared
// memory for what a thread sums up; asynchronous loads of the next tile.
#include <cmath>
#include <limits>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/heads.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

size_t forward_bytes(int tile, int64_t width) {
  return sizeof(float) * static_cast<size_t>(4 * tile * padded(width) + tile * (tile + 1) + 3 * tile);
}
size_t backward_bytes(int tile, int64_t width) {
  return sizeof(float) * static_cast<size_t>(6 * tile * padded(width) + 2 * tile * (tile + 1) + 2 * tile);
}

// Row i of scores becomes exp(score - the largest so far); one warp per row, one lane per key (a tile has
// at most 32).
__device__ void online_softmax(float* scores, int rows, int keys, int stride, float* largest, float* sums,
                               float* shrink) {
  const unsigned lane = threadIdx.x % 32;
  for (int i = static_cast<int>(threadIdx.x / 32); i < rows; i += warps) {
    const bool inside = static_cast<int>(lane) < keys;
    const float minus_infinity = -std::numeric_limits<float>::infinity();
    const float score = inside ? scores[i * stride + lane] : minus_infinity;
    const float before = largest[i];
    const float now = elementwise::Maximum{}(before, warp_reduce(score, elementwise::Maximum{}));
    const float probability = inside ? vexp(score - now) : 0.0f;
    const float factor = vexp(before - now);  // 0 for the first tile, before = -infinity
    const float sum = sums[i] * factor + warp_reduce(probability, elementwise::Add{});
    if (inside) scores[i * stride + lane] = probability;
    __syncwarp();
    if (lane == 0) {
      largest[i] = now;
      sums[i] = sum;
      shrink[i] = factor;
    }
  }
}

template <class T>
__global__ void attention_forward_kernel(Heads<const T> q, Heads<const T> k, Heads<const T> v, float scale,
                                         Heads<T> out, float* logsumexp, int tile, int64_t tiles) {
  float* memory = shared_memory();
  const int width = static_cast<int>(q.width), stride = padded(width), score_stride = tile + 1;
  float *queries = memory, *keys = queries + tile * stride, *values = keys + tile * stride;
  float *result = values + tile * stride, *scores = result + tile * stride;
  float *largest = scores + tile * score_stride, *sums = largest + tile, *shrink = sums + tile;
  const int64_t head = blockIdx.x / tiles, first = blockIdx.x % tiles * tile;
  const int rows = tile_count(q.length, first, tile);
  load_tile(q, head, first, rows, queries);
  clear_tile(result, tile * stride);
  for (int i = threadIdx.x; i < rows; i += threads) {
    largest[i] = -std::numeric_limits<float>::infinity();
    sums[i] = 0;
  }
  for (int64_t key = 0; key < k.length; key += tile) {
    const int columns = tile_count(k.length, key, tile);
    __syncthreads();  // nobody reads the last tile any more
    load_tile(k, head, key, columns, keys);
    load_tile(v, head, key, columns, values);
    __syncthreads();
    for (int i = threadIdx.x; i < rows * columns; i += threads) {
      const int row = i / columns, column = i % columns;
      scores[row * score_stride + column] =
          scale * dot(queries + row * stride, keys + column * stride, width);
    }
    __syncthreads();
    online_softmax(scores, rows, columns, score_stride, largest, sums, shrink);
    __syncthreads();
    for (int i = threadIdx.x; i < rows * width; i += threads) {
      const int row = i / width, c = i % width;
      float sum = result[row * stride + c] * shrink[row];
      for (int j = 0; j < columns; ++j) sum += scores[row * score_stride + j] * values[j * stride + c];
      result[row * stride + c] = sum;
    }
  }
  // Each thread stores the sums that it made itself.
  for (int i = threadIdx.x; i < rows * width; i += threads) {
    const int row = i / width, c = i % width;
    store(out.row(head, first + row)[c], result[row * stride + c] / sums[row]);
  }
  for (int i = threadIdx.x; i < rows; i += threads) {
    logsumexp[head * q.length + first + i] = largest[i] + std::log(sums[i]);
  }
}

// delta (B, H, N); one warp per row.
template <class T>
__global__ void delta_kernel(Heads<const T> dout, Heads<const T> out, int64_t rows, float* delta) {
  const int64_t row = first_index() / 32;
  if (row >= rows) return;  // a whole warp
  const T* a = dout.row(row / dout.length, row % dout.length);
  const T* b = out.row(row / out.length, row % out.length);
  float sum = 0;
  for (int64_t c = threadIdx.x % 32; c < dout.width; c += 32) {
    sum += static_cast<float>(a[c]) * static_cast<float>(b[c]);
  }
  sum = warp_reduce(sum, elementwise::Add{});
  if (threadIdx.x % 32 == 0) delta[row] = sum;
}

template <class T>
struct BackwardHeads {
  Heads<const T> dout, q, k, v;
  Heads<T> dq, dk, dv;
  const float *logsumexp, *delta;  // (B, H, N)
  float scale;
  int tile;
};

// The shared memory of a block of the backward pass: tiles of queries, keys and their partners, of P and dS.
struct BackwardTiles {
  float *q, *dout, *k, *v, *sum_a, *sum_b, *p, *ds, *logsumexp, *delta;
  int stride, score_stride;

  __device__ BackwardTiles(float* memory, int tile, int width)
      : stride(padded(width)), score_stride(tile + 1) {
    const int floats = tile * stride;
    q = memory, dout = q + floats, k = dout + floats, v = k + floats, sum_a = v + floats;
    sum_b = sum_a + floats, p = sum_b + floats, ds = p + tile * score_stride;
    logsumexp = ds + tile * score_stride, delta = logsumexp + tile;
  }
};

template <class T>
__device__ void load_queries(const BackwardHeads<T>& x, int64_t head, int64_t first, int rows,
                             const BackwardTiles& t) {
  load_tile(x.q, head, first, rows, t.q);
  load_tile(x.dout, head, first, rows, t.dout);
  for (int i = threadIdx.x; i < rows; i += threads) {
    t.logsumexp[i] = x.logsumexp[head * x.q.length + first + i];
    t.delta[i] = x.delta[head * x.q.length + first + i];
  }
}

template <class T>
__device__ void load_keys(const BackwardHeads<T>& x, int64_t head, int64_t first, int columns,
                          const BackwardTiles& t) {
  load_tile(x.k, head, first, columns, t.k);
  load_tile(x.v, head, first, columns, t.v);
}

// P and dS of the tile.
__device__ void rebuild(const BackwardTiles& t, int rows, int columns, int width, float scale) {
  for (int i = threadIdx.x; i < rows * columns; i += threads) {
    const int row = i / columns, column = i % columns;
    const float score = scale * dot(t.q + row * t.stride, t.k + column * t.stride, width);
    const float p = vexp(score - t.logsumexp[row]);
    const float dp = dot(t.dout + row * t.stride, t.v + column * t.stride, width);
    t.p[row * t.score_stride + column] = p;
    t.ds[row * t.score_stride + column] = p * (dp - t.delta[row]) * scale;
  }
}

// dk and dv: a block has one tile of keys and passes over all queries.
template <class T>
__global__ void attention_key_kernel(BackwardHeads<T> x, int64_t tiles) {
  float* memory = shared_memory();
  const int width = static_cast<int>(x.q.width);
  const BackwardTiles t(memory, x.tile, width);
  const int64_t head = blockIdx.x / tiles, first = blockIdx.x % tiles * x.tile;
  const int columns = tile_count(x.k.length, first, x.tile);
  load_keys(x, head, first, columns, t);
  clear_tile(t.sum_a, 2 * x.tile * t.stride);  // sum_a and sum_b: dk and dv
  for (int64_t query = 0; query < x.q.length; query += x.tile) {
    const int rows = tile_count(x.q.length, query, x.tile);
    __syncthreads();  // nobody reads the last tile any more
    load_queries(x, head, query, rows, t);
    __syncthreads();
    rebuild(t, rows, columns, width, x.scale);
    __syncthreads();
    for (int i = threadIdx.x; i < columns * width; i += threads) {
      const int column = i / width, c = i % width;
      float dk = t.sum_a[column * t.stride + c], dv = t.sum_b[column * t.stride + c];
      for (int row = 0; row < rows; ++row) {
        dk += t.ds[row * t.score_stride + column] * t.q[row * t.stride + c];
        dv += t.p[row * t.score_stride + column] * t.dout[row * t.stride + c];
      }
      t.sum_a[column * t.stride + c] = dk;
      t.sum_b[column * t.stride + c] = dv;
    }
  }
  // Each thread stores the sums that it made itself, here and below.
  for (int i = threadIdx.x; i < columns * width; i += threads) {
    const int column = i / width, c = i % width;
    store(x.dk.row(head, first + column)[c], t.sum_a[column * t.stride + c]);
    store(x.dv.row(head, first + column)[c], t.sum_b[column * t.stride + c]);
  }
}

// dq: a block has one tile of queries and passes over all keys.
template <class T>
__global__ void attention_query_kernel(BackwardHeads<T> x, int64_t tiles) {
  float* memory = shared_memory();
  const int width = static_cast<int>(x.q.width);
  const BackwardTiles t(memory, x.tile, width);
  const int64_t head = blockIdx.x / tiles, first = blockIdx.x % tiles * x.tile;
  const int rows = tile_count(x.q.length, first, x.tile);
  load_queries(x, head, first, rows, t);
  clear_tile(t.sum_a, x.tile * t.stride);  // dq
  for (int64_t key = 0; key < x.k.length; key += x.tile) {
    const int columns = tile_count(x.k.length, key, x.tile);
    __syncthreads();  // nobody reads the last tile any more
    load_keys(x, head, key, columns, t);
    __syncthreads();
    rebuild(t, rows, columns, width, x.scale);
    __syncthreads();
    for (int i = threadIdx.x; i < rows * width; i += threads) {
      const int row = i / width, c = i % width;
      float dq = t.sum_a[row * t.stride + c];
      for (int column = 0; column < columns; ++column) {
        dq += t.ds[row * t.score_stride + column] * t.k[column * t.stride + c];
      }
      t.sum_a[row * t.stride + c] = dq;
    }
  }
  for (int i = threadIdx.x; i < rows * width; i += threads) {
    const int row = i / width, c = i % width;
    store(x.dq.row(head, first + row)[c], t.sum_a[row * t.stride + c]);
  }
}

}  // namespace

void CudaKernels::attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool,
                            const Tensor& out, const Tensor& logsumexp) {
  if (q.numel() == 0 || k.numel() == 0) {  // nothing to attend to
    fill(out, 0);
    fill(logsumexp, -std::numeric_limits<double>::infinity());
    return;
  }
  const int64_t width = q.size(3);
  const int tile = tile_rows("attention", width, [&](int rows) { return forward_bytes(rows, width); });
  const int64_t tiles = ceil_divide(q.size(2), tile);
  visit_computed("attention", q.dtype(), [&]<class T>(T) {
    launch("attention", stream_, q.size(0) * q.size(1) * tiles, threads, forward_bytes(tile, width),
           attention_forward_kernel<T>, Heads<const T>(q), Heads<const T>(k), Heads<const T>(v),
           static_cast<float>(scale), Heads<T>(out), logsumexp.data<float>(), tile, tiles);
  });
}

void CudaKernels::attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                                     const Tensor& out, const Tensor& logsumexp, double scale,
                                     const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  if (q.numel() == 0 || k.numel() == 0) {
    for (const Tensor& gradient : {dq, dk, dv}) fill(gradient, 0);
    return;
  }
  const char* op = "attention_backward";
  const int64_t width = q.size(3), heads = q.size(0) * q.size(1), rows = heads * q.size(2);
  const int tile = tile_rows(op, width, [&](int count) { return backward_bytes(count, width); });
  const int64_t key_tiles = ceil_divide(k.size(2), tile), query_tiles = ceil_divide(q.size(2), tile);
  const Tensor delta = Tensor::empty({rows}, Dtype::f32, device());
  visit_computed(op, q.dtype(), [&]<class T>(T) {
    launch(op, stream_, ceil_divide(rows * 32, threads), threads, 0, delta_kernel<T>, Heads<const T>(dout),
           Heads<const T>(out), rows, delta.data<float>());
    const BackwardHeads<T> x{Heads<const T>(dout),
                             Heads<const T>(q),
                             Heads<const T>(k),
                             Heads<const T>(v),
                             Heads<T>(dq),
                             Heads<T>(dk),
                             Heads<T>(dv),
                             logsumexp.data<float>(),
                             delta.data<float>(),
                             static_cast<float>(scale),
                             tile};
    const size_t bytes = backward_bytes(tile, width);
    launch(op, stream_, heads * key_tiles, threads, bytes, attention_key_kernel<T>, x, key_tiles);
    launch(op, stream_, heads * query_tiles, threads, bytes, attention_query_kernel<T>, x, query_tiles);
  });
}

}  // namespace nabla
