#!/usr/bin/env python3
"""Runs the same work here and in PyTorch, anomalib, ONNX Runtime and OpenVINO, alternately. See README.md.

    compare.py --prepare                       make the venv, weights and models, and warm the compilers' caches
    compare.py                                 all rows and peers; writes RESULTS.md and results.json beside this file
    compare.py --device cuda --out /tmp/gpu    PyTorch and this on one GPU
    compare.py --rows infer-small --peers here-f32,torch-f32 --repeat 20 --threads 1 --out /tmp/results
    compare.py --rows folder-small --repeat 2 --minutes 30    500 JPEGs through whole programs
    compare.py --rows infer-small --load 2                    while two processes keep the processors busy: a table of its own
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import folder_row
import results
from worker import CPU_ROWS, GPU_ROWS, HIDING, ISAS, ROWS, Failed, Worker, environment, here_command, weights_of

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ["torch", "timm", "anomalib", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf", "safetensors", "numpy"]
PACKAGES += ["PIL"]
INFER_PEERS = ["here-f32", "here-bf16", "torch-f32", "torch-compile-f32", "torch-bf16", "torch-compile-bf16"]
INFER_PEERS += ["onnxruntime-f32", "openvino-f32", "openvino-bf16", "anomalib-f32", "here-int8", "openvino-int8"]
FOLDER_PEERS = ["here-f32", "here-int8", "openvino-f32", "openvino-int8", "torch-f32"]
TRAIN_PEERS = ["here-f32", "here-f32-kept", "here-bf16", "here-bf16-kept", "torch-f32", "torch-f32-kept"]
TRAIN_PEERS += ["torch-compile-f32", "torch-compile-f32-kept", "torch-bf16", "torch-bf16-kept"]
TRAIN_PEERS += ["torch-compile-bf16", "torch-compile-bf16-kept", "anomalib-f32"]
ANCHOR = "here-f32"
PAUSE = 0.1  # seconds between repetitions: threads that wait by spinning have gone to sleep


def peers_of(args, row):
    peers = {"infer": INFER_PEERS, "train": TRAIN_PEERS, "folder": FOLDER_PEERS}[ROWS[row][0]]
    return [peer for peer in peers if args.device == "cpu" or peer.startswith(("here", "torch"))]


def fault_of_device(args):
    """bench_dinomaly's message about a GPU or kernels that cannot be used; empty if they can."""
    trial = [str(args.bench), "infer", "--arch=small", "--size=14", "--repeat=1", f"--device={args.device}"]
    done = subprocess.run(trial, capture_output=True, text=True, env=environment(args))
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ended early"])[-1]


def hides(args):
    """Whether bench/hide_instructions.cpp is loaded: without a level it ends the program with 2."""
    unset = {**environment(args), "HELD_TO": ""}
    return subprocess.run([sys.executable, "-c", ""], env=unset, capture_output=True).returncode == 2


def available_mb():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("inf")


def say(text):
    print(f"[{datetime.datetime.now():%H:%M:%S}] {text}", flush=True)


class Row:
    """One row of the comparison: groups of peers that fit into memory together, each beside the anchor."""

    def __init__(self, args, name, peers, deadline):
        self.args, self.name, self.deadline = args, name, deadline
        self.waiting = list(peers)
        self.results = {}
        self.need_mb = 4000.0  # what the next process may take: the largest so far and a half

    def left(self):
        return self.deadline - time.monotonic()

    def record(self, worker, **values):
        self.results.setdefault(worker.peer, {}).update(values)

    def start(self, peer):
        timeout = min(self.args.start_timeout, max(self.left(), 20))
        say(f"{self.name}: starting {peer}")
        try:
            worker = Worker(self.args, self.name, peer, timeout)
            worker.ask("run", max(self.left(), 60))  # now it has all the memory it takes
        except (Failed, KeyError, json.JSONDecodeError) as failure:
            say(f"{self.name}: {peer}: {failure}")
            self.results.setdefault(peer, {})["error"] = str(failure)
            return None
        self.need_mb = max(self.need_mb, 1.5 * worker.first["peak_rss_mb"])
        if peer not in self.results:
            self.record(worker, seconds=[], **worker.first)
        return worker

    def group(self):
        """Starts as many of the waiting peers as memory holds; the anchor first."""
        workers = []
        if ANCHOR in self.results and "error" not in self.results[ANCHOR]:
            workers.append(self.start(ANCHOR))
        while self.waiting and (not workers or available_mb() > self.need_mb):
            if self.left() < 0 and workers:
                break
            workers.append(self.start(self.waiting.pop(0)))
        return [worker for worker in workers if worker]

    def turn(self, workers, counted):
        for worker in list(workers):
            time.sleep(PAUSE)
            try:
                answer = worker.ask("run", max(self.left(), 60))
                if counted:
                    self.results[worker.peer]["seconds"].append(answer["seconds"])
            except (Failed, KeyError, json.JSONDecodeError) as failure:
                say(f"{self.name}: {worker.peer}: {failure}")
                self.results[worker.peer]["error"] = str(failure)
                workers.remove(worker)
                worker.stop()

    def measure(self, workers):
        for worker in workers:
            worker.ask("reset", 20)
        # Time that later groups need is reserved; one turn is always run.
        groups_to_come = -(-len(self.waiting) // max(len(workers) - 1, 1))
        until = time.monotonic() + self.left() / (1 + groups_to_come)
        for count in range(self.args.repeat):
            begin = time.monotonic()
            self.turn(workers, counted=True)
            if time.monotonic() + (time.monotonic() - begin) > until:
                say(f"{self.name}: time is up after {count + 1} of {self.args.repeat} turns")
                break
        for worker in workers:
            with contextlib.suppress(Failed, KeyError):
                self.record(worker, running_peak_mb=worker.ask("peak", 20)["peak_rss_mb"])

    def run(self):
        while self.waiting:
            workers = self.group()
            try:
                if workers:
                    self.measure(workers)
            finally:
                for worker in workers:
                    worker.stop()
            if self.left() < 0:
                for peer in self.waiting:
                    self.results[peer] = {"error": "no time left"}
                break
        batch = ROWS[self.name][2]
        for result in self.results.values():
            if result.get("seconds"):
                result["min"] = min(result["seconds"]) / batch
                result["median"] = statistics.median(result["seconds"]) / batch
        return self.results


def make_venv(args):
    if not args.python.exists():
        say(f"making {args.venv}")
        subprocess.run([sys.executable, "-m", "venv", str(args.venv)], check=True)
    for package in PACKAGES:  # one by one: a package that cannot be installed is absent from the table
        found = subprocess.run([args.python, "-c", f"import {package}"], capture_output=True).returncode == 0
        if not found:
            say(f"installing {package}")
            subprocess.run([args.python, "-m", "pip", "install", "--quiet", {"PIL": "pillow"}.get(package, package)])


def make_weights(args, row):
    if ROWS[row][0] == "folder":
        make_weights(args, "infer-" + ROWS[row][1])
        folder_row.prepare(args, row, say)
        return
    file = weights_of(args, row)
    newer = file.exists() and file.stat().st_mtime > args.bench.stat().st_mtime
    if not newer:
        say(f"{row}: weights")
        flags = ["--repeat=1", f"--save-weights={file}"]
        subprocess.run(here_command(args, row, *flags), check=True, stdout=subprocess.DEVNULL, env=environment(args))
    work, arch, batch, _ = ROWS[row]
    models = [args.work / "models" / f"{arch}-{args.size}-b{batch}{ending}" for ending in (".onnx", ".xml", "-int8.xml")]
    fresh = all(model.exists() and model.stat().st_mtime > file.stat().st_mtime for model in models)
    if work == "infer" and not fresh and args.python.exists() and wants_models(args):
        say(f"{row}: ONNX and OpenVINO models")
        export = [args.python, HERE / "export_models.py", "--arch", arch, "--weights", file]
        log = args.work / f"{row}-export.log"
        with open(log, "w") as out:
            command = [*map(str, export), f"--models={args.work / 'models'}"]
            if subprocess.run(command, stdout=out, stderr=out, env=environment(args), timeout=900).returncode:
                say(f"{row}: the export failed: see {log}")


def wants_models(args):
    peers = args.peers or INFER_PEERS
    return args.device == "cpu" and any(peer.startswith(("onnxruntime", "openvino")) for peer in peers)


def measured(args, row, peers, deadline):
    if ROWS[row][0] == "folder":
        return folder_row.measure(args, row, peers, deadline, say)
    return Row(args, row, peers, deadline).run()


@contextlib.contextmanager
def busy(count):
    """So many processes that do nothing but take time, and end with this one."""
    spin = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(10**6): pass"
    processes = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def compare(args):
    started, begin = datetime.datetime.now(), time.monotonic()
    rows = {}
    shares = sum(ROWS[row][3] for row in args.rows)
    load = os.getloadavg()[0]
    if load > 0.5 and not args.load:
        say(f"other programs are busy (load {load:.1f}): the times will be unreliable")
    end = begin
    for row in args.rows:
        peers = [peer for peer in peers_of(args, row) if not args.peers or peer in args.peers]
        # Time left over by earlier rows goes to the later ones.
        end += args.minutes * 60 * ROWS[row][3] / shares
        if peers:
            name = row + (f"{results.BUSY}{args.load}" if args.load else "")
            with busy(args.load):
                rows[name] = measured(args, row, peers, end)
            results.write(args.out, results.document(args, rows, started, time.monotonic() - begin, load))
    return rows


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    comma = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--rows", type=comma, help=", ".join(ROWS))
    parser.add_argument("--peers", type=comma, help=", ".join(dict.fromkeys(INFER_PEERS + TRAIN_PEERS)))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--isa", choices=ISAS, help="hide from all programs what the processor has beyond it; "
                        "--bench of a build with -DDINOMALY_NATIVE=OFF")  # fmt: skip
    parser.add_argument("--repeat", type=int, default=15, help="most turns to measure (15)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--size", type=int, default=392)
    parser.add_argument("--load", type=int, default=0, help="processes that are busy meanwhile (0)")
    parser.add_argument("--images", type=int, default=500, help="of the folder rows (500)")
    parser.add_argument("--minutes", type=float, default=10, help="for all rows together (10)")
    parser.add_argument("--start-timeout", type=float, default=120, help="seconds until a peer's first result (120)")
    parser.add_argument("--venv", type=pathlib.Path, default=HERE / ".venv")
    parser.add_argument("--work", type=pathlib.Path, default=HERE / "work", help="weights, models, caches, logs")
    parser.add_argument("--bench", type=pathlib.Path, default=HERE.parent / "build/bin/bench_dinomaly")
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="folder of RESULTS.md and results.json")
    parser.add_argument("--prepare", action="store_true", help="do all slow preparation, without the comparison")
    args = parser.parse_args()
    args.rows = args.rows or (CPU_ROWS if args.device == "cpu" else GPU_ROWS)
    for row in args.rows:
        if row not in ROWS:
            parser.error(f"--rows: '{row}' is not one of {', '.join(ROWS)}")
    for peer in args.peers or []:
        if peer not in INFER_PEERS + TRAIN_PEERS:
            parser.error(f"--peers: '{peer}' is not one of {', '.join(dict.fromkeys(INFER_PEERS + TRAIN_PEERS))}")
    if args.repeat < 1 or args.threads < 1 or args.minutes <= 0 or args.images < 1 or args.load < 0:
        parser.error("--repeat, --threads, --minutes and --images must be positive, and --load not negative")
    if args.size != 392 and any(ROWS[row][0] == "folder" for row in args.rows):
        parser.error("--size: the folder rows have 392 pixels")
    if not args.bench.exists():
        parser.error(f"--bench: {args.bench} is absent; build it first (scripts/build.sh)")
    if args.device == "cuda" and (fault := fault_of_device(args)):
        parser.error(f"--device cuda: {fault}")
    if args.isa and not (args.bench.parent / HIDING).exists():
        parser.error(f"--isa {args.isa}: {args.bench.parent / HIDING} is absent; build it first (target hide_instructions)")
    if args.isa and not hides(args):
        parser.error(f"--isa {args.isa}: {args.bench.parent / HIDING} is not loaded before a program; its path may have no "
                     "space and no colon")  # fmt: skip
    if args.isa and (fault := fault_of_device(args)):
        parser.error(f"--isa {args.isa}: {fault}")
    args.python = args.venv.absolute() / "bin/python"
    args.work, args.bench = args.work.absolute(), args.bench.absolute()
    return args


def main():
    args = parse()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.prepare:
        make_venv(args)
    for row in args.rows:
        make_weights(args, row)
    if args.prepare:  # every compiled peer once, without a limit: later starts find their kernels in the cache
        for row in args.rows:
            peers = [p for p in peers_of(args, row) if "compile" in p and (not args.peers or p in args.peers)]
            args.start_timeout = 1800
            for peer in peers:
                with contextlib.suppress(Failed):
                    say(f"{row}: warming {peer}")
                    worker = Worker(args, row, peer, args.start_timeout)
                    with contextlib.suppress(Failed):
                        worker.ask("run", args.start_timeout)
                    worker.stop()
        return 0
    compare(args)
    say(f"{args.out / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
