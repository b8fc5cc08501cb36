"""Gradients of every op against NumPy's finite differences; hooks, the tape, anomalies."""

import dinomaly
import numpy as np
import pytest
from dinomaly import Generator, Tensor, Variable, ops

H = 1e-5
rng = np.random.default_rng(7)


def normal(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return rng.uniform(0.5, 2.0, size=shape)


ELEMENTWISE = ["neg", "exp", "gelu", "silu", "sigmoid", "tanh", "elu"]
CASES = {
    **{name: (getattr(ops, name), [normal(2, 3)]) for name in ELEMENTWISE},
    **{name: (getattr(ops, name), [positive(2, 3)]) for name in ["abs", "log", "sqrt", "rsqrt", "relu"]},
    **{name: (getattr(ops, name), [normal(2, 3), positive(3)]) for name in ["add", "sub", "mul", "div", "maximum"]},
    "affine": (lambda x: ops.affine(x, 2.0, 1.0), [normal(3)]),
    "pow": (lambda x: ops.pow(x, 2.5), [positive(4)]),
    "clamp": (lambda x: ops.clamp(x, -5.0, 5.0), [normal(4)]),
    "where": (lambda a, b: ops.where(Tensor([True, False, True]), a, b), [normal(3), normal(3)]),
    "sum": (lambda x: ops.sum(x, [1]), [normal(2, 3)]),
    "mean": (lambda x: ops.mean(x, [0], keep=True), [normal(2, 3)]),
    "max": (lambda x: ops.max(x, [1]), [normal(2, 3)]),
    "reshape": (lambda x: ops.reshape(x, [3, 2]), [normal(2, 3)]),
    "transpose": (lambda x: ops.transpose(x, 0, 1), [normal(2, 3)]),
    "permute": (lambda x: ops.permute(x, [2, 0, 1]), [normal(2, 3, 2)]),
    "slice": (lambda x: ops.slice(x, 1, 1, 3), [normal(2, 4)]),
    "expand": (lambda x: ops.expand(x, [3, 2]), [normal(1, 2)]),
    "cast": (lambda x: ops.cast(x, "f64"), [normal(2)]),
    "cat": (lambda a, b: ops.cat([a, b], 0), [normal(2, 2), normal(1, 2)]),
    "stack": (lambda a, b: ops.stack([a, b], 1), [normal(2, 2), normal(2, 2)]),
    "matmul": (lambda a, b: ops.matmul(a, b, b_transposed=True), [normal(2, 3), normal(4, 3)]),
    "linear": (lambda x, w, b, r, s: ops.linear(x, w, b, r, s), [normal(2, 3), normal(4, 3), normal(4), normal(2, 4), normal(4)]),
    "mlp": (ops.mlp, [normal(2, 3), normal(4, 3), normal(4), normal(2, 4), normal(2)]),
    "conv2d": (lambda x, w, b: ops.conv2d(x, w, b, stride=2, padding=1), [normal(1, 2, 4, 4), normal(2, 2, 3, 3), normal(2)]),
    "layer_norm": (lambda x, w, b: ops.layer_norm(x, w, b, 1e-6), [normal(2, 5), normal(5), normal(5)]),
    "softmax": (ops.softmax, [normal(2, 4)]),
    "log_softmax": (ops.log_softmax, [normal(2, 4)]),
    "cross_entropy": (lambda x: ops.cross_entropy(x, Tensor([1, 0])), [normal(2, 3)]),
    "rope": (lambda x: ops.rope(x, Tensor(normal(3, 2)), Tensor(normal(3, 2))), None),
    "attention": (lambda q, k, v: ops.attention(q, k, v, 0.5), [normal(1, 2, 3, 4) for _ in range(3)]),
    "packed_attention": (lambda x: ops.packed_attention(x, 2, 0.5), [normal(1, 3, 12)]),
    "linear_attention": (lambda q, k, v: ops.linear_attention(q, k, v, 1e-6), [normal(1, 2, 3, 4) for _ in range(3)]),
    "packed_linear_attention": (lambda x: ops.packed_linear_attention(x, 2, 1e-6), [normal(1, 3, 12)]),
    "dropout": (lambda x: ops.dropout(x, 0.5, Generator(3)), [normal(4, 4)]),
    "cosine_similarity": (lambda a, b: ops.cosine_similarity(a, b), [normal(2, 4), normal(2, 4)]),
    "interpolate": (lambda x: ops.interpolate(x, 5, 3), [normal(1, 2, 2, 2)]),
}  # fmt: skip
COSINES, SINES = normal(3, 2), normal(3, 2)
CASES["rope"] = (lambda x: ops.rope(x, Tensor(COSINES), Tensor(SINES)), [normal(1, 2, 3, 4)])


def test_every_op_has_a_case():
    assert set(ops.__all__) - {"quantized_linear"} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite_differences(name):
    function, arrays = CASES[name]
    inputs = [Variable(array.copy(), requires_grad=True) for array in arrays]
    output = function(*inputs)
    cotangent = np.random.default_rng(1).normal(size=output.shape)
    output.backward(Tensor(cotangent))

    def value(changed):
        return float(np.sum(function(*[Variable(array) for array in changed]).numpy() * cotangent))

    for index, (array, variable) in enumerate(zip(arrays, inputs)):
        differences = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            ends = []
            for step in (H, -H):
                moved = [other.copy() for other in arrays]
                moved[index][place] += step
                ends.append(value(moved))
            differences[place] = (ends[0] - ends[1]) / (2 * H)
        assert np.allclose(variable.grad.numpy(), differences, rtol=1e-5, atol=1e-6), f"{name}, input {index}"


def test_int8_has_no_gradient():
    x = Variable(np.ones((1, 4), np.float32), requires_grad=True)
    weight = np.eye(4, dtype=np.float32)
    with dinomaly.no_grad():
        assert np.allclose(ops.quantized_linear(x, Tensor(weight)).numpy(), 1, atol=0.02)
    with pytest.raises(dinomaly.Error, match="gradient"):
        ops.quantized_linear(x, Tensor(weight))


def test_hooks():
    seen = []
    x = Variable([1.0, 2.0], requires_grad=True)
    y = x * x
    first = y.register_hook(lambda gradient: seen.append(gradient.tolist()))  # None: as it is
    y.register_hook(lambda gradient: gradient * 2)
    y.retain_grad()
    (y * 3.0).sum().backward()
    assert seen == [[3, 3]] and y.grad.tolist() == [6, 6] and x.grad.tolist() == [12, 24]
    first.remove()
    first.remove()


def test_an_exception_of_a_hook_goes_through():
    x = Variable([1.0], requires_grad=True)

    def bad(gradient):
        raise KeyError("of the hook")

    x.register_hook(bad)
    with pytest.raises(KeyError, match="of the hook"):
        (x * 2.0).sum().backward()
    with pytest.raises(dinomaly.Error, match="hook"):
        y = Variable([1.0], requires_grad=True)
        y.register_hook(lambda gradient: Tensor([1.0, 2.0]))
        (y * 2.0).sum().backward()


def test_no_grad_and_the_tape():
    x = Variable([1.0], requires_grad=True)
    before = dinomaly.tape_size()
    y = ops.exp(x) * x
    assert dinomaly.tape_size() == before + 2 and dinomaly.op_name(y) == "mul" and "exp" in dinomaly.to_graphviz(y)
    with dinomaly.no_grad():
        assert not (x * x).requires_grad
        with dinomaly.enable_grad():
            assert (x * x).requires_grad

    @dinomaly.no_grad()
    def without():
        return x * x

    assert not without().requires_grad and dinomaly.grad_enabled()
    y.backward()
    with pytest.raises(dinomaly.Error):
        y.backward()
    assert not x.detach().requires_grad


def test_changed_in_place():
    x = Variable([2.0], requires_grad=True)
    y = x * x
    x.value.fill(3)
    with pytest.raises(dinomaly.Error, match="changed in place"):
        y.backward()


def test_anomaly_and_gradcheck():
    with pytest.raises(dinomaly.Error, match="log"):
        with dinomaly.detect_anomaly():
            ops.log(Variable([0.0]))
    ops.log(Variable([0.0]))
    assert dinomaly.gradcheck(lambda a, b: ops.tanh(a) * b, [normal(3), normal(3)]) < 1e-6
    with pytest.raises(dinomaly.Error, match="input 0"):
        dinomaly.gradcheck(lambda a: a * a.detach(), [normal(3)])


def test_activation_checkpoint():
    x, w = Variable(normal(2, 3), requires_grad=True), Variable(normal(3, 3), requires_grad=True)
    calls = []

    def part(y):
        calls.append(1)
        return ops.tanh(y @ w)

    dinomaly.activation_checkpoint(part, [x]).sum().backward()
    again, weights = x.grad.numpy().copy(), w.grad.numpy().copy()
    x.zero_grad(), w.zero_grad()
    ops.tanh(x @ w).sum().backward()
    assert len(calls) == 2 and np.array_equal(again, x.grad.numpy()) and np.array_equal(weights, w.grad.numpy())
