"""Tensor: memory shared with NumPy and DLPack, views, what is refused."""

import gc
import sys

import dinomaly
import numpy as np
import pytest
from dinomaly import Tensor

DTYPES = {"f32": np.float32, "f64": np.float64, "i64": np.int64, "u8": np.uint8, "i8": np.int8}


@pytest.mark.parametrize("name", DTYPES)
def test_memory_is_shared_both_ways(name):
    array = np.arange(6, dtype=DTYPES[name]).reshape(2, 3)
    tensor = Tensor(array)
    assert (tensor.dtype, tensor.shape, tensor.strides, tensor.device) == (name, (2, 3), (3, 1), "cpu")
    array[0, 1] = 9
    assert tensor[0, 1].item() == 9
    back = tensor.numpy()
    assert back.ctypes.data == array.ctypes.data and back.dtype == array.dtype
    back[1, 2] = 7
    assert array[1, 2] == 7
    assert np.from_dlpack(tensor).ctypes.data == array.ctypes.data
    assert np.asarray(tensor).ctypes.data == array.ctypes.data


def test_views_are_numpys_views():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tensor = Tensor(array)
    for ours, theirs in [
        (tensor.transpose(0, 2), array.transpose(2, 1, 0)),
        (tensor.permute([1, 2, 0]), array.transpose(1, 2, 0)),
        (tensor.slice(2, 1, 4, 2), array[:, :, 1:4:2]),
        (tensor[1, :, 1:3], array[1, :, 1:3]),
        (tensor[-1], array[-1]),
        (tensor.select(1, 2), array[:, 2]),
    ]:
        shown = ours.numpy()
        assert np.array_equal(shown, theirs) and shown.strides == theirs.strides
        assert shown.ctypes.data == theirs.ctypes.data
    assert np.array_equal(tensor.select(0, 0).unsqueeze(0).expand([5, 3, 4]).numpy(), np.broadcast_to(array[0], (5, 3, 4)))


def test_what_cannot_be_shared_is_copied():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    turned = Tensor(array.T)
    assert turned.is_contiguous() and np.array_equal(turned.numpy(), array.T)
    frozen = array.copy()
    frozen.flags.writeable = False
    tensor = Tensor(frozen)
    tensor.fill(1)
    assert frozen[1, 2] == 5 and tensor.numpy()[1, 2] == 1
    assert Tensor([1.5, 2.5]).dtype == "f32" and Tensor([1, 2]).dtype == "i64" and Tensor([True]).dtype == "u8"
    assert Tensor(3.0).shape == () and Tensor(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert Tensor([1, 2], dtype="bf16").dtype == "bf16"


def test_memory_lives_as_long_as_any_handle():
    tensor = Tensor(np.full(1000, 3.0, np.float32))
    view = tensor[10:20].numpy()
    del tensor
    gc.collect()
    noise = [np.zeros(1000, np.float32) for _ in range(100)]
    assert np.all(view == 3) and len(noise) == 100
    array = np.ones(5, np.float32)
    before = sys.getrefcount(array)
    tensor = Tensor(array)
    assert sys.getrefcount(array) > before
    del tensor
    assert sys.getrefcount(array) == before


def test_bf16():
    tensor = Tensor([1.0, 2.0, 3.14159], dtype="bf16")
    with pytest.raises(ValueError, match="NumPy has no bf16"):
        tensor.numpy()
    assert np.allclose(np.asarray(tensor), [1, 2, 3.140625])
    assert tensor.to("f32").tolist() == [1, 2, 3.140625]
    torch = pytest.importorskip("torch", reason="no PyTorch")
    there = torch.from_dlpack(tensor)
    assert there.dtype == torch.bfloat16
    there[0] = 5
    assert tensor[0].item() == 5
    assert Tensor(torch.ones(3, dtype=torch.bfloat16)).dtype == "bf16"


def test_arithmetic_is_numpys():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4,))
    x, y = Tensor(a), Tensor(b)
    for ours, theirs in [(x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (2 - x, 2 - a), (-x, -a),
                         (x * 3, a * 3), (x / 2, a / 2), (x @ Tensor(a.T), a @ a.T), (x.sum([1]), a.sum(1)),
                         (x.mean(), a.mean()), (x.max([0], keep=True), a.max(0, keepdims=True))]:  # fmt: skip
        assert np.allclose(ours.numpy(), theirs, rtol=1e-12)
    values, indices = x.sort(1, descending=True)
    assert np.array_equal(values.numpy(), -np.sort(-a, 1)) and np.array_equal(indices.numpy(), np.argsort(-a, 1))
    assert np.array_equal(x.argmax().numpy(), a.argmax(1))


def test_in_place_changes_are_counted():
    tensor = Tensor.zeros([4])
    before = tensor.version()
    tensor[1:3].fill(2)
    tensor.copy_from(tensor * 2)
    assert tensor.tolist() == [0, 4, 4, 0] and tensor.version() == before + 2
    tensor.numpy()[0] = 1
    tensor.mark_written()
    assert tensor.version() == before + 3


@pytest.mark.parametrize("make, error, text", [
    (lambda: Tensor(np.zeros(3, np.int32)), ValueError, "int32"),
    (lambda: Tensor("text"), ValueError, "numbers"),
    (lambda: Tensor.zeros([2], "f16"), ValueError, "f16"),
    (lambda: Tensor.zeros([2], "f32", "abacus"), ValueError, "abacus"),
    (lambda: Tensor.zeros([2]).to("abacus"), ValueError, "abacus"),
    (lambda: Tensor.zeros([-1]), RuntimeError, "-1"),
    (lambda: Tensor.zeros([1] * 9), RuntimeError, "8 axes"),
    (lambda: Tensor.zeros([2, 3]).reshape([4]), RuntimeError, "reshape"),
    (lambda: Tensor.zeros([2]) + Tensor.zeros([3]), RuntimeError, "broadcast"),
    (lambda: Tensor.zeros([2])[5], IndexError, "range"),
    (lambda: Tensor.zeros([2]).transpose(0, 3), RuntimeError, "axis 3"),
    (lambda: Tensor.zeros([2]).item(), RuntimeError, "item"),
    (lambda: Tensor.zeros([3])[::-1], ValueError, "step"),
])  # fmt: skip
def test_errors_name_what_is_wrong(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_files(tmp_path):
    tensors = {"a": Tensor([1.0, 2.0]), "b": Tensor([[3, 4]])}
    dinomaly.save_safetensors(tmp_path / "file.safetensors", tensors)
    loaded = dinomaly.load_safetensors(tmp_path / "file.safetensors")
    assert {name: value.tolist() for name, value in loaded.items()} == {"a": [1, 2], "b": [[3, 4]]}
    with pytest.raises(dinomaly.InputError, match="nowhere"):
        dinomaly.load_safetensors("/nowhere")
