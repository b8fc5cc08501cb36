"""How long a step must take on a GPU, at least: what each kernel computes and moves, by the numbers of the GPU. Writes GPU_MODEL.md.

    gpu_model.py [--program build/bin/bench_dinomaly] [--out bench/GPU_MODEL.md]

The profiler counts operations and bytes of each kernel by its formula, on whatever device it runs (tensor/profiler.h); here, on the CPU.
A kernel takes at least the longer of two times: its operations at the GPU's rate, its bytes at the GPU's bandwidth.
"""

import argparse
import datetime
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
# NVIDIA's data sheet of the H200 (SXM): dense rates in operations a second, bandwidth in bytes a second.
TENSOR_BF16, ORDINARY_F32, BANDWIDTH = 989e12, 67e12, 4.8e12
START = 2e-6  # seconds from one kernel of a graph to the next: an assumption
PRODUCTS = {"matmul", "conv2d", "conv2d_backward", "quantized_matmul"}
ATTENTIONS = {"attention", "attention_backward", "linear_attention", "linear_attention_backward"}  # f32 on ordinary cores today
WORKS = [  # title, flags, images, the goal in words
    ("A training step of ViT-B, batch 16, kept features", ["train", "--arch", "base", "--batch", "16", "--kept-features"], 16,
     "12 ms a step: 10,000 iterations in two minutes"),
    ("Inference with ViT-B, batch 32", ["infer", "--arch", "base", "--batch", "32"], 32, "2,000 images a second: 16 ms"),
]
ROW = re.compile(r"(\w+) +(forward|backward) +(\d+) +[\d.]+ +[\d.]+% +([\d.]+|-) +(?:[\d.]+|-) +([\d.]+|-) +(?:[\d.]+|-)$")


def kernels(program, flags):
    """[(kernel, phase, calls, operations, bytes)], by one repetition with bf16."""
    run = subprocess.run([program, *flags, "--precision", "bf16", "--repeat", "1", "--profile"], text=True, check=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    number = lambda text, unit: 0.0 if text == "-" else float(text) * unit
    return [(m[1], m[2], int(m[3]), number(m[4], 1e9), number(m[5], 1e6)) for m in map(ROW.match, run.stderr.splitlines()) if m]


def at_least(name, calls, operations, moved, attention_rate):
    """Seconds, and what they are spent on."""
    rate = TENSOR_BF16 if name in PRODUCTS else attention_rate if name in ATTENTIONS else ORDINARY_F32
    computing, moving = operations / rate, moved / BANDWIDTH
    return max(computing, moving, calls * START), max((computing, "computing"), (moving, "memory"), (calls * START, "starts"))[1]


def section(program, title, flags, images, goal):
    rows, floor, ordinary = [], 0.0, 0.0
    for name, phase, calls, operations, moved in kernels(program, flags):
        seconds, by = at_least(name, calls, operations, moved, TENSOR_BF16)
        floor += seconds
        ordinary += at_least(name, calls, operations, moved, ORDINARY_F32)[0]
        rows.append((seconds, f"| {name} | {phase} | {calls} | {operations / 1e9:.1f} | {moved / 1e6:.0f} | {1e3 * seconds:.3f} | {by} |"))
    rows.sort(reverse=True)
    table = "\n".join(row for _, row in rows)
    return f"""## {title}

| kernel | phase | calls | GFLOP | MB | ms, at least | by |
|---|---|---|---|---|---|---|
{table}

Floor: **{1e3 * floor:.1f} ms** ({images / floor:,.0f} images a second). With the attentions on ordinary cores in f32, as they are written now:
{1e3 * ordinary:.1f} ms. The goal: {goal}. `bench_dinomaly {' '.join(flags)} --precision bf16 --profile`.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(HERE.parent / "build/bin/bench_dinomaly"))
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "GPU_MODEL.md")
    args = parser.parse_args()
    sections = "\n".join(section(args.program, *work) for work in WORKS)
    args.out.write_text(f"""# How long a step must take on an H200

A model, written by `bench/gpu_model.py` on {datetime.date.today()}. **No GPU has run any of this.** The profiler counts what each kernel computes and moves, each
input and output once. The H200's numbers are its data sheet's: {TENSOR_BF16 / 1e12:.0f} TFLOP/s in bf16 on tensor cores, {ORDINARY_F32 / 1e12:.0f} in f32 on the others, {BANDWIDTH / 1e12:.1f} TB/s.
A kernel takes at least the longer of computing and moving, and not less than {1e6 * START:.0f} us (an assumption) for each of its starts. What a kernel reads twice,
or multiplies on fewer units than there are, comes on top; real products reach 60 to 80 percent of the sheet's rate.

{sections}""")
    print(args.out.read_text())


if __name__ == "__main__":
    main()
