"""The comparison's outcome as JSON and as Markdown."""

import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys

from worker import ISAS

TITLES = {
    "infer-base-32": "Inference, ViT-B, batch 32",
    "train-base-16": "Training step, ViT-B, batch 16",
    "infer-small": "Inference, ViT-S, batch 1: image to map and score",
    "infer-base": "Inference, ViT-B, batch 1",
    "train-small": "Training step, ViT-S, batch 4",
    "train-base": "Training step, ViT-B, batch 4",
    "folder-small": "A folder of JPEGs through the whole program, ViT-S",
}
BUSY = "+busy"  # ends a row's name, with the number of processes that were busy beside it
# Largest error that still counts as the same result: of the map (relative to its spread) or the gradient norm.
TOLERANCE = {"f32": 1e-3, "bf16": 0.25, "int8": 0.25}


def name_of(peer):
    parts = peer.split("-")
    names = {
        "here": "**dinomaly.cpp**",
        "torch": "PyTorch",
        "onnxruntime": "ONNX Runtime",
        "openvino": "OpenVINO",
        "anomalib": "anomalib (PyTorch)",
    }
    text = names[parts[0]]
    if "compile" in parts:
        text += ", torch.compile"
    if "kept" in parts:
        text += ", features kept"
    return text


def precision_of(peer):
    return next((name for name in ("bf16", "int8") if name in peer.split("-")), "f32")


def title_of(row):
    plain, _, busy = row.partition(BUSY)
    return TITLES[plain] + (f", while {busy} other processes are busy" if busy else "")


def machine():
    cpu = {}
    for line in subprocess.run(["lscpu"], capture_output=True, text=True).stdout.splitlines():
        key, _, value = line.partition(":")
        cpu.setdefault(key.strip(), value.strip())
    flags = cpu.get("Flags", "").split()
    wanted = ["avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"]
    memory = 0.0
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            memory = int(line.split()[1]) / 2**20
    return {
        "cpu": cpu.get("Model name", platform.processor()),
        "cores": os.cpu_count(),
        "instructions": [flag for flag in wanted if flag in flags],
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def revision():
    here = pathlib.Path(__file__).resolve().parent
    git = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return git.stdout.strip() or "unknown"


def document(args, rows, started, seconds, load):
    versions = {"dinomaly.cpp": revision()}
    for row in rows.values():
        for result in row.values():
            versions.update(result.get("versions", {}))
    run = {
        "command": shlex.join(["python3", *sys.argv]),
        "date": started.strftime("%Y-%m-%d %H:%M"),
        "seconds": round(seconds),
        "load_before": round(load, 2),
        "versions": versions,
    }
    doc = {
        "machine": machine(),
        "threads": args.threads,
        "size": args.size,
        "isa": ISAS[args.isa] if args.isa else None,
        "runs": {row: run for row in rows},
        "rows": rows,
    }
    return with_earlier(doc, args.out / "results.json")


def place_of(row):
    plain, _, busy = row.partition(BUSY)
    return int(busy or 0), list(TITLES).index(plain)


def with_earlier(doc, path):
    """Rows that this run has not measured are kept from an earlier run on the same machine."""
    try:
        earlier = json.loads(path.read_text())
    except (OSError, ValueError):
        return doc
    if any(earlier.get(key) != doc[key] for key in ["machine", "threads", "size", "isa"]):
        return doc
    for key in ["runs", "rows"]:
        both = {**earlier.get(key, {}), **doc[key]}
        doc[key] = {row: both[row] for row in sorted(both, key=place_of)}
    return doc


def error_of(result):
    check = result.get("check", {})
    return check.get("map_error", check.get("grad_error", check.get("loss_error")))


def agreement(peer, result):
    error = error_of(result)
    if error is None:
        return "not compared"
    ok = error == error and error <= TOLERANCE[precision_of(peer)]
    return f"{error:.1e}" + ("" if ok else " **differs**")


def number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def not_measured(row):
    faults = {peer: result["error"].replace("|", "/") for peer, result in row.items() if "error" in result}
    return [f"\n{name_of(peer)}, {precision_of(peer)}: not measured: {fault}" for peer, fault in faults.items()]


def table(row):
    lines = [
        "| program | precision | s per image, min | median | relative to ours f32 | peak MB running | peak MB with start "
        "| first result s | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    anchor = row.get("here-f32", {}).get("min")
    measured = sorted((item for item in row.items() if "min" in item[1]), key=lambda item: item[1]["min"])
    for peer, result in measured:
        ratio = f"{result['min'] / anchor:.2f}" if anchor else ""
        cells = [name_of(peer), precision_of(peer), number(result["min"], 4), number(result["median"], 4), ratio]
        cells += [number(result.get("running_peak_mb"), 0), number(result["peak_rss_mb"], 0)]
        cells += [number(result["first_result_seconds"], 1), agreement(peer, result)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += not_measured(row)
    counts = [len(result["seconds"]) for result in row.values() if result.get("seconds")]
    if counts:
        least, most = min(counts), max(counts)
        lines.append(f"\n{least if least == most else f'{least} to {most}'} repetitions each.")
    return lines


def folder_table(row):
    lines = [
        "| program | precision | images per s, best | median | relative to ours f32 | peak MB | first result s | error | chosen |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    anchor = row.get("here-f32", {}).get("min")
    measured = sorted((item for item in row.items() if "min" in item[1]), key=lambda item: item[1]["min"])
    for peer, result in measured:
        ratio = f"{anchor / result['min']:.2f}" if anchor else ""
        cells = [name_of(peer), precision_of(peer), f"{1 / result['min']:.2f}", f"{1 / result['median']:.2f}", ratio]
        cells += [number(result["peak_rss_mb"], 0), number(result["first_result_seconds"], 1)]
        lines.append("| " + " | ".join([*cells, agreement(peer, result), result["way"]]) + " |")
    lines += not_measured(row)
    for images in {result["images"] for _, result in measured}:
        lines.append(
            f"\n{images} JPEGs of 1024 x 1024 pixels, from the start of the process to its last line; Pillow decodes and "
            "preprocesses for the others, in threads or in the two workers of a DataLoader. OpenVINO's hint is THROUGHPUT; "
            "`chosen` is the fastest of a few ways on a part of the folder. `error`: of the scores, relative to their spread."
        )
    return lines


def markdown(doc):
    m = doc["machine"]
    lines = [
        "# The same work, here and elsewhere",
        "",
        f"{m['cpu']}, {m['cores']} cores ({', '.join(m['instructions'])}), {m['memory_gib']} GiB, {m['system']}; "
        f"{doc['threads']} threads, {doc['size']} x {doc['size']} pixels."
        + (f" What the processor has beyond {doc['isa']} is hidden from all programs." if doc.get("isa") else ""),
        "",
        "All programs load the same random weights and images and run alternately, one repetition at a time. `error` is "
        "the distance of the first result from our f32: of the map, relative to the map's own spread; in training, of the "
        "gradient's norm without dropout (for anomalib, whose layers have no bias and so a different norm, of the loss). "
        "README.md says how the rest is measured.",
    ]
    for name, row in doc["rows"].items():
        run = doc["runs"][name]
        versions = ", ".join(f"{program} {version}" for program, version in sorted(run["versions"].items()))
        rendered = folder_table(row) if name.startswith("folder") else table(row)
        lines += ["", f"## {title_of(name)}", "", *rendered, "", f"`{run['command']}`, {run['date']}, load before the "
                  f"start {run['load_before']}; {versions}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def write(folder, doc):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("results.json", json.dumps(doc, indent=1) + "\n"), ("RESULTS.md", markdown(doc))):
        temporary = folder / f".{name}.new"
        temporary.write_text(text)
        temporary.replace(folder / name)
