#include "backends/cpu/onednn_product.h"

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "backends/cpu/epilogue.h"
#include "backends/cpu/packed_weights.h"
#include "tensor/threads.h"

namespace nabla {

namespace {

// A (batch, rows, columns) part of a stored matrix. A matrix stored `transposed` has its axes exchanged;
// `row_length` and `size` are those of what is stored.
struct Part {
  Shape shape;
  int64_t row_length, size, offset;
  bool transposed;

  Part(const Range& batch, bool shared, const Range& rows, const Range& columns, int64_t row_length,
       int64_t size, bool transposed)
      : shape{shared ? 1 : batch.count, rows.count, columns.count},
        row_length(row_length),
        size(size),
        offset((shared ? 0 : batch.first * size) + (transposed ? columns.first * row_length + rows.first
                                                               : rows.first * row_length + columns.first)),
        transposed(transposed) {}
  // Without a batch axis where the product has none.
  onednn::Layout layout(Dtype dtype, bool flat) const {
    const int64_t row = transposed ? 1 : row_length, column = transposed ? row_length : 1;
    if (flat) return onednn::layout({shape[1], shape[2]}, dtype, Strides{row, column});
    return onednn::layout(shape, dtype, Strides{size, row, column});
  }
};

Part part_of_a(const Product& p, const ProductPiece& piece) {
  return {piece.batch, p.a_shared,    piece.rows, piece.terms, p.a_transposed ? p.m : p.k,
          p.m * p.k,   p.a_transposed};
}
Part part_of_b(const Product& p, const ProductPiece& piece) {
  return {piece.batch, p.b_shared,    piece.terms, piece.columns, p.b_transposed ? p.k : p.n,
          p.k * p.n,   p.b_transposed};
}
Part part_of_out(const Product& p, const ProductPiece& piece) {
  return {piece.batch, false, piece.rows, piece.columns, p.n, p.m * p.n, false};
}

// What is multiplied, and how: all but the pieces.
struct Job {
  Product product;
  Tensor a, b, out;
  Epilogue epilogue;
  bool packed_b;
};

bool adds_to_out(const Job& job) {
  const Tensor& residual = job.epilogue.residual;
  return residual.defined() && residual.raw_data() == job.out.raw_data();
}

bool is_flat(const ProductPiece& piece) { return piece.batch.count == 1; }

onednn::Layout row_layout(const ProductPiece& piece, Dtype dtype) {
  const int64_t columns = piece.columns.count;
  return onednn::layout(is_flat(piece) ? Shape{1, columns} : Shape{1, 1, columns}, dtype);
}

// Everything that decides on the machine code of a piece.
onednn::ProgramCache::Key key_of(const Job& job, const ProductPiece& piece) {
  const Product& p = job.product;
  const auto code = [](const Tensor& tensor) {
    return tensor.defined() ? static_cast<int64_t>(tensor.dtype()) : int64_t{-1};
  };
  return {p.m,
          p.n,
          p.k,
          piece.batch.count,
          piece.rows.count,
          piece.columns.count,
          piece.terms.count,
          p.a_transposed,
          p.b_transposed,
          p.a_shared,
          p.b_shared,
          code(job.a),
          code(job.out),
          code(job.epilogue.bias),
          code(job.epilogue.column_scale),
          code(job.epilogue.residual),
          static_cast<int64_t>(job.epilogue.activation),
          adds_to_out(job),
          job.packed_b};
}

onednn::Program make_program(const Job& job, const ProductPiece& piece) {
  const Product& p = job.product;
  const Epilogue& epilogue = job.epilogue;
  const bool flat = is_flat(piece);
  dnnl::post_ops post_ops;
  if (epilogue.activation == Epilogue::Activation::gelu) onednn::append_gelu(post_ops);
  if (epilogue.column_scale.defined()) {
    post_ops.append_binary(dnnl::algorithm::binary_mul, row_layout(piece, epilogue.column_scale.dtype()));
  }
  const Part out = part_of_out(p, piece);
  if (adds_to_out(job)) {
    post_ops.append_sum(1.0f);
  } else if (epilogue.residual.defined()) {
    post_ops.append_binary(dnnl::algorithm::binary_add, out.layout(epilogue.residual.dtype(), flat));
  }
  const Part b = part_of_b(p, piece);
  const Dtype dtype = job.a.dtype();
  const onednn::Layout b_layout = job.packed_b
                                      ? onednn::any_layout({piece.terms.count, piece.columns.count}, dtype)
                                      : b.layout(dtype, flat);
  const onednn::Layout bias =
      epilogue.bias.defined() ? row_layout(piece, epilogue.bias.dtype()) : onednn::Layout();
  return onednn::make_matmul(part_of_a(p, piece).layout(dtype, flat), b_layout, bias,
                             out.layout(job.out.dtype(), flat), onednn::attributes(post_ops));
}

// The whole of b in the layouts that the programs want: one, or, where a last, shorter piece wants another,
// two.
class PackedB {
 public:
  const dnnl::memory& get(const Job& job, const onednn::Layout& wanted, bool frozen) {
    for (const dnnl::memory& copy : copies_) {
      if (copy.get_desc() == wanted) return copy;
    }
    const onednn::Layout plain = layout_of_b(job.product, job.b.dtype());
    if (wanted == plain) return copies_.emplace_back(onednn::view(job.b, plain));
    const auto fill = [&](void* memory) {
      onednn::reorder(onednn::view(job.b, plain), dnnl::memory(wanted, onednn::engine(), memory));
    };
    void* copy = frozen ? packed_weights().get(job.b, plain, wanted, wanted.get_size(), fill) : nullptr;
    if (copy == nullptr) fill(copy = rooms_.emplace_back(wanted.get_size(), Device::cpu()).data());
    return copies_.emplace_back(wanted, onednn::engine(), copy);
  }

 private:
  std::deque<Storage> rooms_;
  std::deque<dnnl::memory> copies_;
};

// A piece with its program, its b, and where its sums go.
struct Call {
  ProductPiece piece;
  std::shared_ptr<const onednn::Program> program;
  dnnl::memory b;
  int64_t out_offset;
};

void run(const Job& job, const Call& call) {
  const Epilogue& epilogue = job.epilogue;
  onednn::Arguments arguments;
  const auto bind = [&](int name, const Tensor& tensor, int64_t offset) {
    arguments.insert({name, onednn::view(tensor, call.program->layout_of(name), offset)});
  };
  bind(DNNL_ARG_SRC, job.a, part_of_a(job.product, call.piece).offset);
  arguments.insert({DNNL_ARG_WEIGHTS, call.b});
  bind(DNNL_ARG_DST, job.out, call.out_offset);
  const int64_t column = call.piece.columns.first;
  if (epilogue.bias.defined()) bind(DNNL_ARG_BIAS, epilogue.bias, column);
  int place = epilogue.activation == Epilogue::Activation::gelu ? 1 : 0;
  const auto bind_post_op = [&](const Tensor& tensor, int64_t offset) {
    bind(DNNL_ARG_ATTR_MULTIPLE_POST_OP(place++) | DNNL_ARG_SRC_1, tensor, offset);
  };
  if (epilogue.column_scale.defined()) bind_post_op(epilogue.column_scale, column);
  if (epilogue.residual.defined() && !adds_to_out(job)) bind_post_op(epilogue.residual, call.out_offset);
  call.program->run(std::move(arguments));
}

// out holds as many (batch, m, n) as k has parts.
bool run_pieces(const Job& job, const ProductPieces& pieces, bool frozen_b) {
  static onednn::ProgramCache programs;
  const Product& p = job.product;
  PackedB packed;
  std::vector<Call> calls;
  for (const ProductPiece& piece : pieces.list) {
    const auto program = programs.get(key_of(job, piece), [&] { return make_program(job, piece); });
    if (!*program) return false;
    const onednn::Layout wanted = program->layout_of(DNNL_ARG_WEIGHTS);
    const dnnl::memory b = job.packed_b ? packed.get(job, wanted, frozen_b)
                                        : onednn::view(job.b, wanted, part_of_b(p, piece).offset);
    const int64_t part = static_cast<int64_t>(calls.size()) % pieces.parts;
    calls.push_back({piece, program, b, part * p.batch * p.m * p.n + part_of_out(p, piece).offset});
  }
  parallel_tasks(static_cast<int64_t>(calls.size()),
                 [&](int64_t i) { run(job, calls[static_cast<size_t>(i)]); });
  return true;
}

}  // namespace

bool packs(const Product& p, bool frozen_b) {
  constexpr int64_t many_rows = 1024;
  return p.batch == 1 && (frozen_b || p.m >= many_rows);
}

onednn::Layout layout_of_b(const Product& p, Dtype dtype) {
  const Part whole = part_of_b(p, {{0, p.batch}, {0, p.m}, {0, p.n}, {0, p.k}});
  return whole.layout(dtype, p.batch == 1);
}

bool onednn_product(const Product& product, const Tensor& a, const Tensor& b, const Tensor& out,
                    const Epilogue& epilogue, bool frozen_b) {
  const bool packed_b = packs(product, frozen_b) && !product.a_transposed;
  const ProductPieces pieces(product, packed_b, true);
  if (pieces.parts == 1) return run_pieces({product, a, b, out, epilogue, packed_b}, pieces, frozen_b);
  const Tensor products = Tensor::empty({pieces.parts, out.numel()}, Dtype::f32);
  if (!run_pieces({product, a, b, products, {}, packed_b}, pieces, frozen_b)) return false;
  add_parts(products, epilogue, out);
  return true;
}

}  // namespace nabla
