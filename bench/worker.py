"""A process of the comparison: bench_dinomaly --serve or peers.py, and how to start it."""

import contextlib
import json
import os
import pathlib
import select
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROWS = {  # name: work, architecture, batch, share of the time
    "infer-small": ("infer", "small", 1, 0.12),
    "infer-base": ("infer", "base", 1, 0.2),
    "train-small": ("train", "small", 4, 0.25),
    "train-base": ("train", "base", 4, 0.43),
}
CPU_ROWS = list(ROWS)
ROWS["folder-small"] = ("folder", "small", 1, 1.0)
ROWS.update({"infer-base-32": ("infer", "base", 32, 0.4), "train-base-16": ("train", "base", 16, 0.6)})
GPU_ROWS = ["infer-base-32", "train-base-16"]
ISAS = {"avx2": "AVX2", "avx2_vnni": "AVX2 and AVX-VNNI"}
HIDING = "hide_instructions.so"  # what holds every program to one of them: it stands beside bench_dinomaly


class Failed(Exception):
    """A peer that is absent, broken or too slow; the text is what the table says."""


def environment(args):
    threads = str(args.threads)
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS"]
    # PyTorch's key for what it has compiled does not have the width of vectors.
    compiled = args.work / (f"inductor-{args.isa}" if args.isa else "inductor")
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(compiled), "TORCHINDUCTOR_FX_GRAPH_CACHE": "1"}
    offline = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "OPENVINO_TELEMETRY_DISABLE": "1"}
    # A program that is compiled for this processor alone has no level avx2, and says so.
    hiding = {"LD_PRELOAD": str(args.bench.parent / HIDING), "HELD_TO": args.isa, "DINOMALY_CPU_LEVEL": "avx2"}
    held = hiding if args.isa else {}
    return {**os.environ, **dict.fromkeys(names, threads), **caches, **offline, **held}


def here_command(args, row, *flags):
    work, arch, batch, _ = ROWS[row]
    shape = [f"--arch={arch}", f"--batch={batch}", f"--size={args.size}", f"--threads={args.threads}"]
    return [str(args.bench), work, *shape, f"--device={args.device}", *flags]


def weights_of(args, row):
    work, arch, batch, _ = ROWS[row]
    return args.work / f"{work}-{arch}-{args.size}-b{batch}.safetensors"


def command_of(args, row, peer):
    work, arch, _, _ = ROWS[row]
    kept = ["--kept-features"] if peer.endswith("-kept") else []
    weights = f"--weights={weights_of(args, row)}"
    if peer.startswith("here"):
        precision = next((name for name in ("bf16", "int8") if name in peer), "f32")
        return here_command(args, row, "--serve", f"--precision={precision}", weights, *kept)
    script = [str(args.python), str(HERE / "peers.py"), peer, "--work", work, "--arch", arch, weights]
    return [*script, f"--models={args.work / 'models'}", f"--threads={args.threads}", f"--device={args.device}", *kept]


class Worker:
    """A peer's process: one line in, one line of JSON out."""

    def __init__(self, args, row, peer, timeout):
        self.peer, self.seconds = peer, []
        self.log = args.work / f"{row}-{peer}.log"
        program = args.bench if peer.startswith("here") else args.python
        if not pathlib.Path(program).exists():
            raise Failed(f"{program} is absent")
        start = time.monotonic()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command_of(args, row, peer), env=environment(args), text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        try:
            self.first = self.answer(timeout)
        except BaseException:
            self.stop()
            raise
        self.first["first_result_seconds"] = time.monotonic() - start  # with the start of the process

    def answer(self, timeout):
        ready, _, _ = select.select([self.process.stdout], [], [], max(timeout, 1))
        if not ready:
            raise Failed(f"no answer within {timeout:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            words = [text for text in self.log.read_text().splitlines() if text.strip()]
            raise Failed((words[-1] if words else f"ended with status {self.process.returncode}")[:200])
        return json.loads(line)

    def ask(self, line, timeout):
        try:
            self.process.stdin.write(line + "\n")
        except BrokenPipeError:
            pass  # answer() reports why
        return self.answer(timeout)

    def stop(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
