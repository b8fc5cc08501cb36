"""What several files share: the program, and a small trained model."""

import os
import pathlib
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/bin/dinomaly"
# A shell that runs this in the background has it ignored, here and in children.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A model of seconds; the second are the same as the program's flags.
OPTIONS = {"resize": 128, "crop": 128, "batch": 4, "iterations": 8,
           "set": {"target_blocks": [1, 2, 3, 4], "decoder_depth": 4, "warmup_steps": 2}}  # fmt: skip
FLAGS = ["--resize", "128", "--crop", "128", "--batch", "4", "--iterations", "8", "--set", "target_blocks=[1,2,3,4]",
         "--set", "decoder_depth=4", "--set", "warmup_steps=2"]  # fmt: skip


def run_program(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Project:
    """A data set, a model that the program has trained on it, and test images."""

    def __init__(self, folder):
        self.data = folder / "parts"
        run_program("make-dataset", self.data, "--categories", "flange", "--good", 6, "--train", 12)
        self.out = folder / "out"
        run_program("train", self.data, "--out", self.out, *FLAGS)
        self.model = self.out / "model.safetensors"
        self.images = sorted((self.data / "flange/test").rglob("*.png"))


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))
