#!/usr/bin/env python3
"""Measures how cost grows with batch, size, architecture, threads and training images. Writes GROWTH.md.

    growth.py                         everything, one axis at a time, about 25 minutes on two cores
    growth.py --axes batch,images --repeat 2 --limit 60
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import results

HERE = pathlib.Path(__file__).resolve().parent
BATCHES = [1, 2, 4, 8, 16, 32]
SIZES = [224, 280, 392, 518, 644, 784, 896, 1022]
ARCHITECTURES = ["small", "base", "large"]
IMAGES = [100, 1000, 10000, 100000]
MOST_STEPS = 10
FEATURE_GB = 0.05
AXES = ["batch", "size", "arch", "threads", "images"]


def bench(args, work, **changes):
    """One process of bench_dinomaly; its JSON, or {"error"}."""
    flags = {"arch": "small", "size": 392, "batch": 1, "threads": args.threads, "repeat": args.repeat, **changes}
    kept = ["--kept-features"] if flags.pop("kept", False) else []
    command = [str(args.build / "bench_dinomaly"), work, *(f"--{k}={v}" for k, v in flags.items()), *kept]
    print(" ".join(command[1:]), flush=True)
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        return {"error": f"more than {args.limit:.0f} s"}
    return json.loads(run.stdout) if run.returncode == 0 else {"error": run.stderr.strip()[:120]}


def table(first, runs):
    """`runs`: (label, result). Cost and arithmetic are also given relative to the first row."""
    lines = [
        f"| {first} | ms per image | GFLOP per image | GFLOP/s | ms, relative to the first row | GFLOP, relative | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    base = next((result for _, result in runs if "error" not in result), None)
    for label, result in runs:
        if "error" in result:
            lines.append(f"| {label} | {result['error']} | | | | | |")
            continue
        ms, gflop = result["seconds_per_image_min"] * 1e3, result["gflop_per_image"]
        times = [ms / (base["seconds_per_image_min"] * 1e3), gflop / base["gflop_per_image"]]
        cells = [str(label), f"{ms:.1f}", f"{gflop:.1f}", f"{result['gflops_per_second']:.0f}"]
        cells += [f"{t:.2f}" for t in times] + [f"{result['peak_rss_mb']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def batch_axis(args):
    inference = [(b, bench(args, "infer", batch=b)) for b in BATCHES]
    training = [(b, bench(args, "train", batch=b, kept=True)) for b in BATCHES]
    return ["", "## Batch, inference (ViT-S, 392)", "", *table("batch", inference),
            "", "## Batch, training step with kept features (ViT-S, 392)", "", *table("batch", training)]  # fmt: skip


def size_axis(args):
    inference = [(s, bench(args, "infer", size=s)) for s in SIZES]
    training = [(s, bench(args, "train", size=s, batch=4, kept=True)) for s in SIZES]
    return ["", "## Pixels per side, inference (ViT-S, batch 1)", "", *table("side", inference),
            "", "## Pixels per side, training step with kept features (ViT-S, batch 4)", "",
            *table("side", training)]  # fmt: skip


def arch_axis(args):
    lines = []
    for work, precision, batch in [("infer", "f32", 1), ("infer", "bf16", 1), ("train", "f32", 4), ("train", "bf16", 4)]:
        runs = [(a, bench(args, work, arch=a, precision=precision, batch=batch)) for a in ARCHITECTURES]
        lines += ["", f"## Architecture: {work}, {precision}, batch {batch} (392)", "", *table("ViT", runs)]
    return lines


def threads_axis(args):
    counts = sorted({1, *(2**i for i in range(1, 8) if 2**i <= os.cpu_count()), os.cpu_count()})
    lines = []
    for work, arch, batch in [("infer", "small", 1), ("infer", "base", 1), ("train", "small", 4)]:
        runs = [(t, bench(args, work, arch=arch, batch=batch, threads=t)) for t in counts]
        lines += ["", f"## Threads: {work}, {arch}, batch {batch} (392)", "", *table("threads", runs)]
    return lines


def run_measured(command, limit):
    """Status, output, seconds and peak memory in MB of a separate process."""
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() - begin > limit:
                process.kill()
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return process.returncode, out.read(), time.monotonic() - begin, usage.ru_maxrss * 1024 / 1e6


def images_axis(args):
    """Trainings whose features outgrow --feature-memory: what each additional image costs in memory and time."""
    lines = ["", f"## Training images: one epoch, at most {MOST_STEPS} steps, --feature-memory {FEATURE_GB} (ViT-S, 56 pixels per side, batch 64)", "",
             "| images | encoded | features MB | where | encoding s | training s | peak MB |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=args.build.parent) as folder:
        folder = pathlib.Path(folder)
        encoder = folder / "encoder.safetensors"
        save = [args.build / "bench_dinomaly", "infer", "--size=28", "--repeat=1", f"--save-weights={encoder}"]
        subprocess.run(save, check=True, stdout=subprocess.DEVNULL)
        draw = [args.build / "dinomaly", "make-dataset", folder / "drawn", "--categories=weave", "--size=64"]
        subprocess.run([*draw, "--train=50", "--good=1", "--per-defect=1"], check=True, stdout=subprocess.DEVNULL)
        drawn = sorted((folder / "drawn/weave/train/good").iterdir())
        for count in IMAGES:
            print(f"images {count}", flush=True)
            data = folder / str(count)
            data.mkdir()
            for i in range(count):  # the same fifty images, each under many names
                os.link(drawn[i % len(drawn)], data / f"{i:06}.png")
            steps = min(count // 64, MOST_STEPS)
            train = [args.build / "dinomaly", "train", data, f"--encoder={encoder}", f"--threads={args.threads}",
                     "--resize=56", "--crop=56", "--batch=64", f"--iterations={steps}", "--checkpoint-every=0",
                     "--calibrate=none", f"--feature-memory={FEATURE_GB}", "--force", f"--out={folder}/out"]  # fmt: skip
            status, text, _, peak = run_measured(list(map(str, train)), 4 * args.limit)
            features = re.search(r"features of (\d+) images: ([\d.]+) s, (\d+) MB, (.*)", text)
            spent = re.search(r"training ([\d.]+) s", text)
            if status != 0 or not features or not spent:
                lines.append(f"| {count} | failed with status {status} | | | | | |")
                continue
            cells = [count, features[1], features[3], features[4], features[2], spent[1], f"{peak:.0f}"]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", type=lambda text: text.split(","), default=AXES, help=", ".join(AXES))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=float, default=180, help="seconds for one process (180)")
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build/bin")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "GROWTH.md")
    args = parser.parse_args()
    for axis in args.axes:
        if axis not in AXES:
            parser.error(f"--axes: '{axis}' is not one of {', '.join(AXES)}")
    if not (args.build / "bench_dinomaly").exists():
        parser.error(f"--build: {args.build}/bench_dinomaly is absent; build it first (scripts/build.sh)")
    machine, load = results.machine(), os.getloadavg()[0]
    lines = [
        "# How cost grows",
        "",
        f"dinomaly.cpp {results.revision()} on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{args.threads} threads and f32 unless noted otherwise; "
        f"{datetime.datetime.now():%Y-%m-%d %H:%M}, load before the start {load:.1f}. "
        f"Times are the minimum of {args.repeat} repetitions; memory is the peak of the whole process.",
    ]
    functions = {"batch": batch_axis, "size": size_axis, "arch": arch_axis, "threads": threads_axis, "images": images_axis}
    for axis in args.axes:
        lines += functions[axis](args)
        temporary = args.out.with_suffix(".new")
        temporary.write_text("\n".join(lines) + "\n")
        temporary.replace(args.out)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
