"""How training grows with the number of processes: measured here, modelled beyond. Writes SCALING.md.

    scaling.py [--program build/bin/dinomaly] [--processes 1,2] [--iterations 60] [--batch 8] [-- FLAGS of train ...]

Each process has one thread, so that N of them are compared with one. The model has a latency and a bandwidth, of which a part
is hidden behind the backward pass; what it says of the bytes and of the waiting is set beside what was measured, with this machine's
latency and bandwidth (bench_all_reduce).
"""

import argparse
import csv
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT_MAY_RUN = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
NETWORKS = [("Ethernet, 10 Gbit/s", 20e-6, 1.1e9), ("InfiniBand, 200 Gbit/s", 2e-6, 22e9)]
RANKS = [2, 8, 64, 1000]
BACKWARD = 0.6  # of a step's computation: the backward pass, in which gradients travel
BUCKET = 8 << 20  # bytes, as in gradient_exchange.h


def measure(args, processes, data, out):
    flags = ["--iterations", str(args.iterations), "--batch", str(args.batch), "--threads", "1", "--out", str(out),
             "--calibrate", "none", *args.flags]
    launcher = ["mpirun", "-n", str(processes)] if processes > 1 else []
    run = subprocess.run([*launcher, args.program, "train", str(data), *flags], text=True, stdout=subprocess.PIPE,
                         env={**os.environ, **ROOT_MAY_RUN})
    if run.returncode:
        sys.exit(f"scaling: {processes} processes ended with status {run.returncode}")
    with open(out / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    rates = [float(row["images_per_second"]) for row in rows[len(rows) // 2:]]  # every image has been encoded
    said = re.search(r"first sent ([\d.]+) MB and waited ([\d.]+) of [\d.]+ s for the others, ([\d.]+) of it", run.stdout)
    sent, waited, gradients = (float(said[1]) * 1e6, float(said[2]), float(said[3])) if said else (0.0, 0.0, 0.0)
    return {"processes": processes, "rate": statistics.median(rates), "loss": float(rows[-1]["loss"]),
            "bytes": sent / args.iterations, "waited": waited / args.iterations, "waited_for_gradients": gradients / args.iterations}


def network(program, processes):
    """This machine's latency of a message and bandwidth, in seconds and bytes a second: of the smallest and the largest sum."""
    run = subprocess.run(["mpirun", "-n", str(processes), str(pathlib.Path(program).with_name("bench_all_reduce"))],
                         text=True, stdout=subprocess.PIPE, check=True, env={**os.environ, **ROOT_MAY_RUN})
    sums = json.loads(run.stdout)["sums"]
    steps = 2 * (processes - 1)
    return sums[0]["seconds"] / steps, sums[-1]["bytes"] * steps / processes / sums[-1]["seconds"]


def gradient_bytes(out):
    """Of the trained weights, as f32: those of the checkpoint that the run leaves."""
    latest = max((out / "checkpoints").glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    with open(latest, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    count = 0
    for name, tensor in header.items():
        if name.startswith("model.") and not name.startswith("model.whitening."):
            size = 1
            for n in tensor["shape"]:
                size *= n
            count += size
    return 4 * count


def modelled(ranks, step, gradients, latency, bandwidth):
    """Seconds of a step that `ranks` processes wait for gradients, each with as many images as one has here (`step` seconds): a ring
    sends all but one share twice, bucket by bucket; what fits into the backward pass costs nothing."""
    sent = 2 * gradients * (ranks - 1) / ranks
    travel = sent / bandwidth + 2 * (ranks - 1) * latency * -(-gradients // BUCKET)
    last = min(gradients, BUCKET) * 2 * (ranks - 1) / ranks / bandwidth + 2 * (ranks - 1) * latency
    return max(travel - BACKWARD * step, last)


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|"] + ["| " + " | ".join(r) + " |" for r in rows])


def page(args, runs, gradients, networks):
    one = runs[0]
    step = args.batch / one["rate"]
    measured = table(["processes", "images a second", "efficiency", "MB sent a step, by the first", "of them gradients, modelled",
                      "waited a step", "of it for gradients", "of that modelled", "last loss"],
                     [[str(r["processes"]), f"{r['rate']:.2f}", f"{r['rate'] / one['rate'] / r['processes']:.2f}",
                       f"{r['bytes'] / 1e6:.1f}", f"{2 * gradients * (r['processes'] - 1) / r['processes'] / 1e6:.1f}",
                       f"{1e3 * r['waited']:.0f} ms", f"{1e3 * r['waited_for_gradients']:.0f} ms",
                       f"{1e3 * modelled(r['processes'], step / r['processes'], gradients, *networks[i]):.0f} ms" if i else "0 ms",
                       f"{r['loss']:.6f}"] for i, r in enumerate(runs)])
    links = "; ".join(f"between {runs[i]['processes']} processes {1e6 * latency:.0f} us and {bandwidth / 1e9:.1f} GB/s"
                      for i, (latency, bandwidth) in networks.items())
    beyond = table(["processes", *[name for name, _, _ in NETWORKS]],
                   [[str(n), *[f"{share(n, step, gradients, *net):.1%}" for _, *net in NETWORKS]] for n in RANKS])
    return f"""# How training grows with the number of processes

Written by `bench/scaling.py` on {datetime.date.today()}: {platform.machine()}, {os.cpu_count()} processors, one thread a process, all on this
machine; batch {args.batch}, {args.iterations} iterations, flags `{' '.join(args.flags) or 'none'}`. The trained weights have {gradients / 1e6:.1f} MB of gradients.

{measured}

The batch is the same for any number of processes, so that each has a smaller share of it (strong scaling), and so is what is
computed: compare the last losses. Bytes beyond the gradients are distances for the mining and features that another process has encoded. Waiting is
that for gradients and that for a slower process alike. The model has the latency and the bandwidth that `bench_all_reduce`
measures here ({links}), and no slower process: the difference is what two processes wait because they
are not equally fast at every moment.

## Beyond this machine

A model, not a measurement: each process has a batch of {args.batch} images and a step of {step:.2f} s, as one has here; a ring all-reduce in buckets
of 8 MB, of which what fits into {BACKWARD:.0%} of the step, the backward pass, is hidden. Shown is the share of a step that is spent waiting.

{beyond}

The assumptions: {'; '.join(f'{name}: {latency * 1e6:.0f} us and {bandwidth / 1e9:.1f} GB/s' for name, latency, bandwidth in NETWORKS)}, one process a machine; no
machine is slower than the others; features are where they are used. Latency is what grows: with 1,000 processes a bucket's ring has
1,998 steps, where MPI takes a tree instead, so that these shares are upper bounds.
"""


def share(ranks, step, gradients, latency, bandwidth):
    waiting = modelled(ranks, step, gradients, latency, bandwidth)
    return waiting / (step + waiting)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(HERE.parent / "build/bin/dinomaly"))
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "SCALING.md")
    parser.add_argument("flags", nargs="*")
    args = parser.parse_args()
    counts = [int(n) for n in args.processes.split(",")]
    if counts[0] != 1:
        parser.error("--processes: the first is 1, with which the others are compared")
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        subprocess.run([args.program, "make-dataset", str(data), "--size", "256", "--train", "40", "--good", "1",
                        "--per-defect", "1", "--categories", "wood"], check=True, stdout=subprocess.DEVNULL)
        runs = [measure(args, n, data, pathlib.Path(folder) / str(n)) for n in counts]
        gradients = gradient_bytes(pathlib.Path(folder) / "1")
        networks = {i: network(args.program, n) for i, n in enumerate(counts) if n > 1}
    args.out.write_text(page(args, runs, gradients, networks))
    print(args.out.read_text())


if __name__ == "__main__":
    main()
