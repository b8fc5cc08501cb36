// out = residual + column_scale * act(op(a) op(b) + bias), all but the product fused into its store.
//   op(a) (batch, M, K), op(b) (batch, K, N) -> out (batch, M, N)
// Many rows times one matrix: packed_product.h, where this processor has it. Other products of f32 and bf16:
// oneDNN's matmul, with either operand transposed. f64: Eigen, then a loop for the epilogue.
#include <mutex>
#include <optional>

#include "backends/common/parallel.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/onednn.h"
#include "backends/cpu/packed_product.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/vector_math.h"

namespace nabla::cpu {

namespace {

struct Product {
  int64_t batch, m, n, k;
  bool a_transposed, b_transposed;
  bool a_shared, b_shared;  // one matrix for the whole batch
};

Product describe(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed, const Tensor& out) {
  Product p{out.size(0),  out.size(1),  out.size(2),    a.size(a_transposed ? 1 : 2),
            a_transposed, b_transposed, a.size(0) == 1, b.size(0) == 1};
  if (p.b_shared && !p.a_transposed && a.size(0) == p.batch) {  // one tall product
    p.m *= p.batch;
    p.batch = 1;
  }
  return p;
}

// Matrices as oneDNN takes them: without a batch axis where the batch is 1.
Shape matrix(const Product& p, int64_t batch, int64_t rows, int64_t columns) {
  return p.batch == 1 ? Shape{rows, columns} : Shape{batch, rows, columns};
}
onednn::Layout operand(const Product& p, bool shared, int64_t rows, int64_t columns, bool transposed,
                       Dtype dtype) {
  const Shape shape = matrix(p, shared ? 1 : p.batch, rows, columns);
  if (!transposed) return onednn::layout(shape, dtype);
  const Strides strides = p.batch == 1 ? Strides{1, rows} : Strides{rows * columns, 1, rows};
  return onednn::layout(shape, dtype, strides);
}

bool adds_to_out(const Epilogue& epilogue, const Tensor& out) {
  return epilogue.residual.defined() && epilogue.residual.raw_data() == out.raw_data();
}

// Whether b is copied into the order that the product likes best before. That pays where it has many rows of
// a to work for; a frozen b is copied once.
bool packs(const Product& p, bool frozen_b) {
  constexpr int64_t many_rows = 1024;
  return p.batch == 1 && (frozen_b || p.m >= many_rows);
}

// Everything that decides on the machine code of a product.
onednn::ProgramCache::Key key_of(const Product& p, const Tensor& a, const Tensor& out,
                                 const Epilogue& epilogue, bool packed_b) {
  const auto code = [](const Tensor& tensor) {
    return tensor.defined() ? static_cast<int64_t>(tensor.dtype()) : int64_t{-1};
  };
  return {p.batch,
          p.m,
          p.n,
          p.k,
          p.a_transposed,
          p.b_transposed,
          p.a_shared,
          p.b_shared,
          code(a),
          code(out),
          code(epilogue.bias),
          code(epilogue.column_scale),
          code(epilogue.residual),
          static_cast<int64_t>(epilogue.activation),
          adds_to_out(epilogue, out),
          packed_b};
}

onednn::Program make_program(const Product& p, const Tensor& a, const Tensor& out, const Epilogue& epilogue,
                             bool packed_b) {
  const Dtype dtype = a.dtype();
  const Shape row = matrix(p, 1, 1, p.n);
  dnnl::post_ops post_ops;
  if (epilogue.activation == Epilogue::Activation::gelu) onednn::append_gelu(post_ops);
  if (epilogue.column_scale.defined()) {
    post_ops.append_binary(dnnl::algorithm::binary_mul, onednn::layout(row, epilogue.column_scale.dtype()));
  }
  const Shape shape = matrix(p, p.batch, p.m, p.n);
  if (adds_to_out(epilogue, out)) {
    post_ops.append_sum(1.0f);
  } else if (epilogue.residual.defined()) {
    post_ops.append_binary(dnnl::algorithm::binary_add, onednn::layout(shape, epilogue.residual.dtype()));
  }
  const onednn::Layout b = packed_b ? onednn::any_layout(matrix(p, 1, p.k, p.n), dtype)
                                    : operand(p, p.b_shared, p.k, p.n, p.b_transposed, dtype);
  const onednn::Layout bias =
      epilogue.bias.defined() ? onednn::layout(row, epilogue.bias.dtype()) : onednn::Layout();
  return onednn::make_matmul(operand(p, p.a_shared, p.m, p.k, p.a_transposed, dtype), b, bias,
                             onednn::layout(shape, out.dtype()), onednn::attributes(post_ops));
}

// Copies of frozen weights in their packed layouts, made when a weight is used for the second time: new
// memory for all of a ViT-B costs 0.3 s, which a program that looks at one image need not wait for. A copy
// lives as long as the storage it was made of; copies of dead storages go when the next one is made.
class PackedWeights {
 public:
  // The copy of b, seen as `plain`, in the layout `packed`, an empty one for packed_product.h's; null at the
  // first time. At the second time, fill(room) makes it, `bytes` large.
  template <class Fill>
  void* get(const Tensor& b, const onednn::Layout& plain, const onednn::Layout& packed, size_t bytes,
            const Fill& fill) {
    const std::lock_guard lock(mutex_);
    Copy* copy = find(b, plain, packed);
    if (copy == nullptr) {
      drop_dead_copies();
      copies_[b.raw_data()].push_back({b.storage(), plain, packed, nullptr});
      return nullptr;
    }
    if (copy->room == nullptr) {
      copy->room = std::make_unique<Storage>(bytes, Device::cpu());
      fill(copy->room->data());
      b.storage()->evict();  // a mapped checkpoint need not stand in memory twice
    }
    return copy->room->data();
  }

  // Afterwards neither copies nor, where they are mapped, the weights themselves stand in memory.
  void clear() {
    const std::lock_guard lock(mutex_);
    for (const auto& [data, copies] : copies_) {
      for (const Copy& copy : copies) {
        if (const auto source = copy.source.lock()) source->evict();
      }
    }
    copies_.clear();
  }

 private:
  struct Copy {
    std::weak_ptr<Storage> source;
    onednn::Layout plain, packed;
    std::unique_ptr<Storage> room;  // null: used once
  };

  Copy* find(const Tensor& b, const onednn::Layout& plain, const onednn::Layout& packed) {
    for (Copy& copy : copies_[b.raw_data()]) {
      if (copy.source.lock() == b.storage() && copy.plain == plain && copy.packed == packed) return &copy;
    }
    return nullptr;
  }

  void drop_dead_copies() {
    for (auto entry = copies_.begin(); entry != copies_.end();) {
      std::erase_if(entry->second, [](const Copy& copy) { return copy.source.expired(); });
      entry = entry->second.empty() ? copies_.erase(entry) : std::next(entry);
    }
  }

  std::mutex mutex_;
  std::map<const void*, std::vector<Copy>> copies_;
};

PackedWeights& packed_weights() {
  static PackedWeights copies;
  return copies;
}

void run_packed(const Product& p, const Tensor& a, const Tensor& b, const Tensor& out,
                const Epilogue& epilogue, bool frozen_b) {
  const size_t bytes = packed_bytes(b.dtype(), p.k, p.n);
  const auto fill = [&](void* room) { pack(b, p.b_transposed, p.k, p.n, room); };
  const onednn::Layout plain = operand(p, true, p.k, p.n, p.b_transposed, b.dtype());
  const void* kept = frozen_b ? packed_weights().get(b, plain, {}, bytes, fill) : nullptr;
  const Storage room(kept ? 0 : bytes, Device::cpu());  // of a copy for this product alone
  if (kept == nullptr) fill(room.data());
  packed_product(a, p.m, p.k, p.n, kept ? kept : room.data(), out, epilogue);
}

// False where this processor has no kernel for the dtype.
bool run_onednn(const Product& p, const Tensor& a, const Tensor& b, const Tensor& out,
                const Epilogue& epilogue, bool frozen_b) {
  static onednn::ProgramCache programs;
  const bool packed_b = packs(p, frozen_b);
  const auto program = programs.get(key_of(p, a, out, epilogue, packed_b),
                                    [&] { return make_program(p, a, out, epilogue, packed_b); });
  if (!*program) return false;
  onednn::Arguments arguments;
  const auto bind = [&](int name, const Tensor& tensor) {
    arguments.insert({name, onednn::view(tensor, program->layout_of(name))});
  };
  bind(DNNL_ARG_SRC, a);
  bind(DNNL_ARG_DST, out);
  const onednn::Layout plain = operand(p, p.b_shared, p.k, p.n, p.b_transposed, b.dtype());
  const onednn::Layout packed = program->layout_of(DNNL_ARG_WEIGHTS);
  std::optional<Storage> room;  // of a packed copy for this product alone
  const auto fill = [&](void* memory) {
    onednn::reorder(onednn::view(b, plain), dnnl::memory(packed, onednn::engine(), memory));
  };
  if (packed == plain) {
    bind(DNNL_ARG_WEIGHTS, b);
  } else {
    void* copy = frozen_b ? packed_weights().get(b, plain, packed, packed.get_size(), fill) : nullptr;
    if (copy == nullptr) fill(copy = room.emplace(packed.get_size(), Device::cpu()).data());
    arguments.insert({DNNL_ARG_WEIGHTS, dnnl::memory(packed, onednn::engine(), copy)});
  }
  if (epilogue.bias.defined()) bind(DNNL_ARG_BIAS, epilogue.bias);
  int place = epilogue.activation == Epilogue::Activation::gelu ? 1 : 0;
  const auto bind_post_op = [&](const Tensor& tensor) {
    bind(DNNL_ARG_ATTR_MULTIPLE_POST_OP(place++) | DNNL_ARG_SRC_1, tensor);
  };
  if (epilogue.column_scale.defined()) bind_post_op(epilogue.column_scale);
  if (epilogue.residual.defined() && !adds_to_out(epilogue, out)) bind_post_op(epilogue.residual);
  program->run(std::move(arguments));
  return true;
}

template <class T>
const T* pointer(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

// The epilogue of `product` (rows, N), null for zeros; everything is of T.
template <class T>
void finish(const T* product, int64_t rows, int64_t columns, const Epilogue& epilogue, T* out) {
  const T* bias = pointer<T>(epilogue.bias);
  const T* scale = pointer<T>(epilogue.column_scale);
  const T* residual = pointer<T>(epilogue.residual);
  const bool gelu = epilogue.activation == Epilogue::Activation::gelu;
  parallel_for(rows, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t j = 0; j < columns; ++j) {
        const int64_t i = row * columns + j;
        T value = product ? product[i] : T(0);
        if (bias) value += bias[j];
        if (gelu) value *= vnormal(value).cdf;
        if (scale) value *= scale[j];
        if (residual) value += residual[i];
        out[i] = value;
      }
    }
  });
}

void run_eigen(const Product& p, const Tensor& a, const Tensor& b, const Tensor& out,
               const Epilogue& epilogue) {
  // The residual may be out itself, so the product stands elsewhere until the epilogue.
  const Tensor product = Tensor::empty(out.shape(), Dtype::f64);
  for (int64_t i = 0; i < p.batch; ++i) {
    gemm(p.a_transposed, p.b_transposed, p.m, p.n, p.k, 1.0,
         a.data<double>() + (p.a_shared ? 0 : i * p.m * p.k), p.a_transposed ? p.m : p.k,
         b.data<double>() + (p.b_shared ? 0 : i * p.k * p.n), p.b_transposed ? p.k : p.n, 0.0,
         product.data<double>() + i * p.m * p.n, p.n);
  }
  finish(product.data<double>(), p.batch * p.m, p.n, epilogue, out.data<double>());
}

Epilogue convert(const Epilogue& epilogue, Dtype dtype) {
  const auto converted = [&](const Tensor& tensor) { return tensor.defined() ? tensor.to(dtype) : tensor; };
  return {converted(epilogue.bias), epilogue.activation, converted(epilogue.column_scale),
          converted(epilogue.residual)};
}

// A sum of no products: the epilogue of zero.
void fill_with_epilogue(const Tensor& out, const Epilogue& epilogue) {
  const Tensor wide = Tensor::empty(out.shape(), Dtype::f64);
  finish<double>(nullptr, out.numel() / out.size(2), out.size(2), convert(epilogue, Dtype::f64),
                 wide.data<double>());
  out.copy_from(wide);
}

}  // namespace

void release_packed_weights() { packed_weights().clear(); }

void matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed, const Tensor& out,
            const Epilogue& epilogue, bool frozen_b) {
  if (out.numel() == 0) return;
  const Product product = describe(a, a_transposed, b, b_transposed, out);
  if (product.k == 0) {
    fill_with_epilogue(out, epilogue);
  } else if (out.dtype() == Dtype::f64) {
    run_eigen(product, a, b, out, epilogue);
  } else if (packs(product, frozen_b) && !a_transposed &&
             has_packed_product(a.dtype(), product.m, product.k)) {
    run_packed(product, a, b, out, epilogue, frozen_b);
  } else if (!run_onednn(product, a, b, out, epilogue, frozen_b)) {
    // A processor without bf16 products: they are taken in f32.
    const Tensor wide = Tensor::empty(out.shape(), Dtype::f32);
    const bool done =
        run_onednn(product, a.to(Dtype::f32), b.to(Dtype::f32), wide, convert(epilogue, Dtype::f32), false);
    check(done, "matmul: oneDNN has no kernel for {} x {} here", a.shape(), b.shape());
    out.copy_from(wide);
  }
}

}  // namespace nabla::cpu
