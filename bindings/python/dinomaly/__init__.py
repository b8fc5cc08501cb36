"""dinomaly.cpp for Python: the anomaly detector, and the tensor framework below it.

    import dinomaly
    detector = dinomaly.Detector.load("model.safetensors")
    result = detector.predict("part.png")        # a path, an array, a PIL image or a file's bytes
    result.score, result.decision, result.map, result.regions

    detector = dinomaly.train("parts", out="out", iterations=300)

The framework: `Tensor`, `Variable`, `no_grad`, the ops in `dinomaly.ops`, layers in `dinomaly.nn`, optimizers in
`dinomaly.optim`. Whatever computes lets other Python threads run meanwhile; Ctrl-C is raised when it returns.
"""

import contextlib as _contextlib

from . import nn, ops, optim
from ._detector import Detector, train
from ._dinomaly import (
    Error,
    Generator,
    HookHandle,
    InputError,
    Region,
    Result,
    Tensor,
    Variable,
    __version__,
    activation_checkpoint,
    cpu_level,
    grad_enabled,
    gradcheck,
    load_safetensors,
    num_threads,
    op_name,
    save_safetensors,
    set_grad_enabled,
    set_num_threads,
    tape_size,
    to_graphviz,
)
from ._dinomaly import _DetectAnomaly

__all__ = [
    "Detector", "Error", "Generator", "HookHandle", "InputError", "Region", "Result", "Tensor", "Variable",
    "activation_checkpoint", "cpu_level", "detect_anomaly", "enable_grad", "from_dlpack", "from_numpy", "grad_enabled",
    "gradcheck", "load_safetensors", "nn", "no_grad", "num_threads", "op_name", "ops", "optim", "save_safetensors",
    "set_grad_enabled", "set_num_threads", "tape_size", "to_graphviz", "train",
]


def from_numpy(array) -> Tensor:
    """The array as a Tensor: on the same memory where it is contiguous, writable and of a dtype of ours."""
    return Tensor(array)


def from_dlpack(array) -> Tensor:
    """The same of any array that speaks DLPack: PyTorch's, JAX's, CuPy's."""
    return Tensor(array)


@_contextlib.contextmanager
def _grad(on):
    before = grad_enabled()
    set_grad_enabled(on)
    try:
        yield
    finally:
        set_grad_enabled(before)


def no_grad():
    """No op is recorded in the block: `with dinomaly.no_grad():`, or `@dinomaly.no_grad()` before a function."""
    return _grad(False)


def enable_grad():
    """Ops are recorded in the block, also inside of a no_grad()."""
    return _grad(True)


@_contextlib.contextmanager
def detect_anomaly():
    """In the block, the first op whose output or gradient has a NaN or infinity raises Error with its name."""
    detector = _DetectAnomaly()
    try:
        yield
    finally:
        del detector
