"""What Python and the module owe each other: threads, signals, stubs, documentation."""

import ast
import inspect
import pathlib
import signal
import threading
import time

import dinomaly
import numpy as np
import pytest
from dinomaly import Generator, Tensor, nn, ops, optim


def test_other_threads_run_while_the_module_computes():
    a = Tensor.normal([700, 700], 0, 1, Generator(1), "f64")
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    a @ a
    before = counted[0]
    start = time.perf_counter()
    a @ a  # one call: without its own releasing of the lock nothing is counted meanwhile
    seconds = time.perf_counter() - start
    after = counted[0]
    stop.set()
    thread.join()
    assert after > before, seconds


def test_ctrl_c_is_raised_when_the_call_returns():
    a = Tensor.normal([300, 300], 0, 1, Generator(1), "f64")
    timer = threading.Timer(0.05, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        end = time.time() + 30
        while time.time() < end:
            a @ a
    timer.join()
    assert np.isfinite((a @ a).numpy()).all()


def test_handlers_never_run_on_a_computing_thread():
    """oneDNN's products use the stack pointer as a register: a handler's frame would destroy what lies there."""
    counted = [0]

    def handler(*_):
        counted[0] += 1

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    a = Tensor.normal([200, 333], 0, 1, Generator(1))
    exact = a.to("f64") @ a.to("f64").transpose(0, 1)
    try:
        for _ in range(300):
            assert np.allclose((a @ a.transpose(0, 1)).numpy(), exact.numpy(), rtol=1e-3, atol=1e-3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert counted[0] > 0


def test_stubs_and_documentation():
    package = pathlib.Path(dinomaly.__file__).parent
    assert (package / "py.typed").exists()
    tree = ast.parse((package / "_dinomaly.pyi").read_text())
    named = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for name in dinomaly.__all__:
        thing = getattr(dinomaly, name)
        assert thing.__doc__, name
        if getattr(thing, "__module__", "").endswith("_dinomaly"):
            assert name in named, name
    for module in (ops, optim, nn):
        assert module.__doc__ and all(hasattr(module, name) for name in module.__all__)
    assert all(function.__doc__ for function in vars(dinomaly.Detector).values() if inspect.isfunction(function) and function.__name__[0] != "_")
    assert "NoneType" not in (package / "_dinomaly.pyi").read_text()
    assert dinomaly.__version__ and dinomaly.cpu_level() and dinomaly.num_threads() >= 1


def test_the_package_is_in_the_syntax_of_the_oldest_python_that_it_is_for():
    for path in sorted(pathlib.Path(dinomaly.__file__).parent.glob("*.py*")):
        ast.parse(path.read_text(), str(path), feature_version=(3, 9))  # pyproject.toml: requires-python
