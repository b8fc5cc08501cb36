// Per batch entry and head, with f(x) = elu(x) + 1 = x + 1 for x > 0, else e^x; rows n of (N, d) matrices:
//   Q = f(q), K = f(k), S = K^T v (d, d), z = sum over n of K_n (d), D_n = Q_n . z + eps,
//   out_n = Q_n S / D_n.
// Backward, with G_n = dout_n / D_n (the gradient of the numerator Q_n S) and R = G S^T:
//   dD_n = -(dout_n . out_n) / D_n = -(Q_n . R_n) / D_n, so out itself is not needed;
//   dQ_n = R_n + dD_n z,  dS = Q^T G,  dz = sum over n of dD_n Q_n,
//   dK_n = v_n dS^T + dz,  dv = K dS,
//   dq = dQ * f'(q),  dk = dK * f'(k)  with f'(x) = min(f(x), 1), as f(x) > 1 just where x > 0.
// The sums over tokens (S and z, dS and dz) are one kernel, what follows for each token others.
// To tune: the products on tensor cores; S of a head in shared memory for all its tokens; the forward pass in
// one kernel a head.
#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/heads.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

struct Feature {
  __device__ float operator()(float x, int = 0) const { return x > 0 ? x + 1 : vexp(x); }
};
// Rows divided by numbers of their own, or as they are where there are none.
struct Divided {
  const float* divisors;
  __device__ float operator()(float x, int row) const { return divisors ? x / divisors[row] : x; }
};
__device__ float slope(float feature) { return feature > 1 ? 1 : feature; }

size_t sums_bytes(int tile, int64_t width) {
  return sizeof(float) * static_cast<size_t>(3 * tile * padded(width) + 2 * tile);
}
size_t features_bytes(int tile, int64_t width) {
  return sizeof(float) * static_cast<size_t>(tile * padded(width) + tile);
}
size_t token_bytes(int tile, int64_t width) {
  return sizeof(float) * static_cast<size_t>(4 * tile * padded(width) + 2 * tile);
}

// sums (heads, d, d)[r][c] = sum over n of f(x_n)[r] * y_n[c] / divisor_n,
// vectors (heads, d)[r] = sum over n of f(x_n)[r] * weight_n. divisor and weight (heads, N); null: 1.
// A block has `tile` rows r of one head and passes over the tokens, `tile` at a time.
template <class T>
__global__ void sums_kernel(Heads<const T> x, Heads<const T> y, const float* divisor, const float* weight,
                            float* sums, float* vectors, int tile, int64_t blocks_a_head) {
  float* memory = shared_memory();
  const int width = static_cast<int>(x.width), stride = padded(width);
  float *left = memory, *right = left + tile * stride, *total = right + tile * stride;
  float *weights = total + tile * stride, *vector = weights + tile;
  const int64_t head = blockIdx.x / blocks_a_head;
  const int first = static_cast<int>(blockIdx.x % blocks_a_head) * tile;
  const int rows = tile_count(width, first, tile);
  clear_tile(total, tile * stride);
  clear_tile(vector, tile);
  for (int64_t token = 0; token < x.length; token += tile) {
    const int tokens = tile_count(x.length, token, tile);
    __syncthreads();  // nobody reads the last tile any more
    load_tile(x, head, token, tokens, left, Feature{});
    load_tile(y, head, token, tokens, right, Divided{divisor ? divisor + head * x.length + token : nullptr});
    for (int n = threadIdx.x; n < tokens; n += threads)
      weights[n] = weight ? weight[head * x.length + token + n] : 1;
    __syncthreads();
    for (int i = threadIdx.x; i < rows * width; i += threads) {
      const int row = i / width, c = i % width;
      float sum = total[row * stride + c];
      for (int n = 0; n < tokens; ++n) sum += left[n * stride + first + row] * right[n * stride + c];
      total[row * stride + c] = sum;
    }
    for (int row = threadIdx.x; row < rows; row += threads) {
      float sum = vector[row];
      for (int n = 0; n < tokens; ++n) sum += left[n * stride + first + row] * weights[n];
      vector[row] = sum;
    }
  }
  // Each thread stores the sums that it made itself.
  for (int i = threadIdx.x; i < rows * width; i += threads) {
    sums[(head * width + first + i / width) * width + i % width] = total[i / width * stride + i % width];
  }
  for (int row = threadIdx.x; row < rows; row += threads) vectors[head * width + first + row] = vector[row];
}

// result[n] = a_n . b_n for the rows of two tiles (b_stride = 0: one vector for all), one warp a row.
__device__ void row_dots(const float* a, const float* b, int rows, int width, int stride, int b_stride,
                         float* result) {
  for (int n = static_cast<int>(threadIdx.x / 32); n < rows; n += warps) {
    float sum = 0;
    for (int c = threadIdx.x % 32; c < width; c += 32) sum += a[n * stride + c] * b[n * b_stride + c];
    sum = warp_reduce(sum, elementwise::Add{});
    if (threadIdx.x % 32 == 0) result[n] = sum;
  }
}

template <class T>
__global__ void linear_attention_forward_kernel(Heads<const T> q, const float* sums, const float* vectors,
                                                float eps, Heads<T> out, int tile, int64_t tiles) {
  float* memory = shared_memory();
  const int width = static_cast<int>(q.width), stride = padded(width);
  float *features = memory, *denominators = features + tile * stride;
  const int64_t head = blockIdx.x / tiles, first = blockIdx.x % tiles * tile;
  const int rows = tile_count(q.length, first, tile);
  const float *s = sums + head * width * width, *z = vectors + head * width;
  load_tile(q, head, first, rows, features, Feature{});
  __syncthreads();
  row_dots(features, z, rows, width, stride, 0, denominators);
  __syncthreads();
  for (int i = threadIdx.x; i < rows * width; i += threads) {
    const int n = i / width, c = i % width;
    float sum = 0;
    for (int r = 0; r < width; ++r) sum += features[n * stride + r] * s[r * width + c];
    store(out.row(head, first + n)[c], sum / (denominators[n] + eps));
  }
}

// Calls take(x_n . s_j, n, j) for the rows of a tile and of a head's sums (d, d), which pass through shared memory, `tile`
// rows at a time: in global memory each thread of a warp would meet a cache line of its own. Has a barrier before the first take(), and
// one at its end.
template <class Take>
__device__ void products_with_rows(const float* x, int rows, const float* s, int width, float* staged,
                                   int tile, Take take) {
  const int stride = padded(width);
  for (int first = 0; first < width; first += tile) {
    const int count = tile_count(width, first, tile);
    for (int i = threadIdx.x; i < count * width; i += threads)
      staged[i / width * stride + i % width] = s[first * width + i];
    __syncthreads();
    for (int i = threadIdx.x; i < rows * count; i += threads) {
      const int n = i / count, j = i % count;
      take(dot(x + n * stride, staged + j * stride, width), n, first + j);
    }
    __syncthreads();  // nobody reads these rows any more
  }
}

// dq, and D and dD (heads, N) for the sums that follow.
template <class T>
__global__ void linear_attention_query_kernel(Heads<const T> dout, Heads<const T> q, const float* sums,
                                              const float* vectors, float eps, Heads<T> dq,
                                              float* denominator, float* ddenominator, int tile,
                                              int64_t tiles) {
  float* memory = shared_memory();
  const int width = static_cast<int>(q.width), stride = padded(width);
  float *features = memory, *gradient = features + tile * stride, *r = gradient + tile * stride;
  float *staged = r + tile * stride, *dots = staged + tile * stride, *denominators = dots + tile;
  const int64_t head = blockIdx.x / tiles, first = blockIdx.x % tiles * tile;
  const int rows = tile_count(q.length, first, tile);
  const float *s = sums + head * width * width, *z = vectors + head * width;
  load_tile(q, head, first, rows, features, Feature{});
  load_tile(dout, head, first, rows, gradient);
  __syncthreads();
  row_dots(features, z, rows, width, stride, 0, denominators);
  products_with_rows(gradient, rows, s, width, staged, tile,
                     [=](float sum, int n, int j) {  // R = dout S^T / D
                       r[n * stride + j] = sum / (denominators[n] + eps);
                     });
  row_dots(features, r, rows, width, stride, stride, dots);
  __syncthreads();
  for (int i = threadIdx.x; i < rows * width; i += threads) {
    const int n = i / width, j = i % width;
    const float dd = -dots[n] / (denominators[n] + eps);
    store(dq.row(head, first + n)[j], (r[n * stride + j] + dd * z[j]) * slope(features[n * stride + j]));
  }
  for (int n = threadIdx.x; n < rows; n += threads) {
    denominator[head * q.length + first + n] = denominators[n] + eps;
    ddenominator[head * q.length + first + n] = -dots[n] / (denominators[n] + eps);
  }
}

// dk and dv.
template <class T>
__global__ void linear_attention_key_kernel(Heads<const T> k, Heads<const T> v, const float* dsums,
                                            const float* dvectors, Heads<T> dk, Heads<T> dv, int tile,
                                            int64_t tiles) {
  float* memory = shared_memory();
  const int width = static_cast<int>(k.width), stride = padded(width);
  float *features = memory, *values = features + tile * stride, *staged = values + tile * stride;
  const int64_t head = blockIdx.x / tiles, first = blockIdx.x % tiles * tile;
  const int rows = tile_count(k.length, first, tile);
  const float *ds = dsums + head * width * width, *dz = dvectors + head * width;
  load_tile(k, head, first, rows, features, Feature{});
  load_tile(v, head, first, rows, values);
  products_with_rows(values, rows, ds, width, staged, tile, [&](float sum, int n, int j) {
    store(dk.row(head, first + n)[j], (sum + dz[j]) * slope(features[n * stride + j]));
  });
  for (int i = threadIdx.x; i < rows * width; i += threads) {
    const int n = i / width, j = i % width;
    float sum = 0;
    for (int r = 0; r < width; ++r) sum += features[n * stride + r] * ds[r * width + j];
    store(dv.row(head, first + n)[j], sum);
  }
}

// Sums over the tokens of each head.
struct State {
  Tensor sums, vectors;

  State(int64_t heads, int64_t width, Device device)
      : sums(Tensor::empty({heads, width, width}, Dtype::f32, device)),
        vectors(Tensor::empty({heads, width}, Dtype::f32, device)) {}
};

}  // namespace

void CudaKernels::linear_attention(const Tensor& q, const Tensor& k, const Tensor& v, double eps,
                                   const Tensor& out) {
  if (out.numel() == 0) return;
  const char* op = "linear_attention";
  const int64_t width = q.size(3), heads = q.size(0) * q.size(1);
  const int tile = tile_rows(op, width, [&](int rows) { return sums_bytes(rows, width); });
  const int64_t row_blocks = ceil_divide(width, tile), tiles = ceil_divide(q.size(2), tile);
  const State state(heads, width, device());
  visit_computed(op, q.dtype(), [&]<class T>(T) {
    launch(op, stream_, heads * row_blocks, threads, sums_bytes(tile, width), sums_kernel<T>,
           Heads<const T>(k), Heads<const T>(v), nullptr, nullptr, state.sums.data<float>(),
           state.vectors.data<float>(), tile, row_blocks);
    launch(op, stream_, heads * tiles, threads, features_bytes(tile, width),
           linear_attention_forward_kernel<T>, Heads<const T>(q), state.sums.data<float>(),
           state.vectors.data<float>(), static_cast<float>(eps), Heads<T>(out), tile, tiles);
  });
}

void CudaKernels::linear_attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k,
                                            const Tensor& v, double eps, const Tensor& dq, const Tensor& dk,
                                            const Tensor& dv) {
  if (dq.numel() == 0) return;
  const char* op = "linear_attention_backward";
  const int64_t width = q.size(3), heads = q.size(0) * q.size(1), length = q.size(2);
  const int tile = tile_rows(op, width, [&](int rows) { return token_bytes(rows, width); });
  const int64_t row_blocks = ceil_divide(width, tile), tiles = ceil_divide(length, tile);
  const State state(heads, width, device()), dstate(heads, width, device());
  const Tensor denominator = Tensor::empty({heads, length}, Dtype::f32, device());
  const Tensor ddenominator = Tensor::empty_like(denominator);
  visit_computed(op, q.dtype(), [&]<class T>(T) {
    const Heads<const T> douts(dout), qs(q), ks(k), vs(v);
    launch(op, stream_, heads * row_blocks, threads, sums_bytes(tile, width), sums_kernel<T>, ks, vs, nullptr,
           nullptr, state.sums.data<float>(), state.vectors.data<float>(), tile, row_blocks);
    launch(op, stream_, heads * tiles, threads, token_bytes(tile, width), linear_attention_query_kernel<T>,
           douts, qs, state.sums.data<float>(), state.vectors.data<float>(), static_cast<float>(eps),
           Heads<T>(dq), denominator.data<float>(), ddenominator.data<float>(), tile, tiles);
    launch(op, stream_, heads * row_blocks, threads, sums_bytes(tile, width), sums_kernel<T>, qs, douts,
           denominator.data<float>(), ddenominator.data<float>(), dstate.sums.data<float>(),
           dstate.vectors.data<float>(), tile, row_blocks);
    launch(op, stream_, heads * tiles, threads, token_bytes(tile, width), linear_attention_key_kernel<T>, ks,
           vs, dstate.sums.data<float>(), dstate.vectors.data<float>(), Heads<T>(dk), Heads<T>(dv), tile,
           tiles);
  });
}

}  // namespace nabla
