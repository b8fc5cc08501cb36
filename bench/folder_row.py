"""The rows of whole programs: a folder of JPEGs, from the start of the process to its last line."""

import os
import pathlib
import statistics
import subprocess
import time

from worker import HERE, ROWS, Failed, environment, weights_of

# Ways to run a program, of which the fastest on a part of the folder is measured.
WAYS = {
    "here": [[]],
    "openvino": [[], ["--streams=1"], ["--streams=2"], ["--streams=4"]],
    "torch": [["--batch=1"], ["--batch=8"]],
}
TRIED = 40  # images


def files_of(args, row):
    """The model of each kind of program, and the folders."""
    _, arch, _, _ = ROWS[row]
    start = f"{args.work / 'models'}/{arch}-{args.size}-b1"
    return {
        "images": args.work / "jpeg",
        "few": args.work / "jpeg-few",
        "here-f32": f"{start}-folder.safetensors",
        "here-int8": f"{start}-folder-int8.safetensors",
        "openvino-f32": f"{start}.xml",
        "openvino-int8": f"{start}-folder-int8.xml",
        "torch-f32": weights_of(args, "infer-" + arch),
    }


def prepare(args, row, say):
    files, (_, arch, _, _) = files_of(args, row), ROWS[row]
    weights, program = weights_of(args, "infer-" + arch), args.bench.parent / "dinomaly"
    names = ["images", "here-f32", "here-int8", "openvino-int8"]
    newest = weights.stat().st_mtime
    count = len(list(files["images"].glob("*.jpg"))) if files["images"].exists() else 0
    if count == args.images and all(pathlib.Path(files[name]).exists() for name in names) and all(
        pathlib.Path(files[name]).stat().st_mtime > newest for name in names[1:]
    ):
        return
    say(f"{row}: {args.images} JPEGs and models")
    drawn, log = args.work / "drawn", args.work / f"{row}-prepare.log"
    start = [args.python, HERE / "folder.py", "prepare", "--weights", weights, "--work", args.work]
    commands = [
        [program, "make-dataset", drawn, "--size", "512", "--train", "125"],
        [*start, "--drawn", drawn, "--model", files["here-f32"], f"--count={args.images}"],
        [program, "convert", files["here-f32"], files["here-int8"], "--precision", "int8", "--data", files["few"]],
        [args.python, HERE / "export_models.py", "--arch", arch, "--weights", weights, "--models", args.work / "models",
         "--int8-images", files["few"]],
    ]  # fmt: skip
    with open(log, "w") as out:
        for command in commands:
            if subprocess.run([*map(str, command)], stdout=out, stderr=out, env=environment(args)).returncode:
                say(f"{row}: '{pathlib.Path(command[0]).name}' failed: see {log}")
                return
            make_few(files)


def make_few(files):
    """Links to images from all over the folder, to calibrate on and to try ways with."""
    images = sorted(files["images"].glob("*.jpg"))
    files["few"].mkdir(exist_ok=True)
    for old in files["few"].iterdir():
        old.unlink()
    for image in images[:: max(len(images) // TRIED, 1)][:TRIED]:
        (files["few"] / image.name).symlink_to(image)


def command_of(args, row, peer, images, way):
    files = files_of(args, row)
    if peer.startswith("here"):
        program = args.bench.parent / "dinomaly"
        return [program, "predict", files[peer], images, "--area", "crop", f"--threads={args.threads}", *way]
    script = [args.python, HERE / "folder.py", "run", peer, images, "--model", files[peer], "--arch", ROWS[row][1]]
    return [*script, f"--threads={args.threads}", *way]


def run(args, row, peer, images, way, limit):
    """Seconds in all and to the first line, the scores, the peak memory of its largest process."""
    log = args.work / f"{row}-{peer}.log"
    command = [*map(str, command_of(args, row, peer, images, way))]
    begin, first, scores = time.monotonic(), None, []
    with open(log, "w") as out:
        process = subprocess.Popen(command, env=environment(args), stdout=subprocess.PIPE, stderr=out, text=True)
    for line in process.stdout:
        first = first or time.monotonic() - begin
        numbers = [word for word in line.split() if word.replace(".", "", 1).isdigit()]
        scores.append(float(numbers[0]))
        if time.monotonic() - begin > limit:
            process.kill()
            process.wait()
            raise Failed(f"no end within {limit:.0f} s")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        words = [text for text in log.read_text().splitlines() if text.strip()]
        raise Failed((words[-1] if words else f"ended with status {process.returncode}")[:200])
    return {
        "seconds": time.monotonic() - begin,
        "first": first,
        "scores": scores,
        "peak_rss_mb": usage.ru_maxrss * 1024 / 1e6,
    }


def fastest_way(args, row, peer, limit):
    ways = WAYS[peer.split("-")[0]]
    if len(ways) == 1:
        return ways[0]
    few = files_of(args, row)["few"]
    return min(ways, key=lambda way: run(args, row, peer, few, way, limit)["seconds"])


def measure(args, row, peers, deadline, say):
    files, results, way = files_of(args, row), {}, {}
    for peer in peers:
        try:
            way[peer] = fastest_way(args, row, peer, max(deadline - time.monotonic(), 60))
            results[peer] = {"seconds": [], "first": [], "peak_rss_mb": 0.0, "way": " ".join(way[peer])}
        except (Failed, ValueError, IndexError, OSError) as failure:
            say(f"{row}: {peer}: {failure}")
            results[peer] = {"error": str(failure)}
    for turn in range(args.repeat):
        begin = time.monotonic()
        for peer in way:
            if "error" in results[peer]:
                continue
            say(f"{row}: {peer} {results[peer]['way']}")
            try:
                one = run(args, row, peer, files["images"], way[peer], max(deadline - time.monotonic(), 600))
            except (Failed, ValueError, IndexError) as failure:
                say(f"{row}: {peer}: {failure}")
                results[peer]["error"] = str(failure)
                continue
            results[peer]["seconds"].append(one["seconds"])
            results[peer]["first"].append(one["first"])
            results[peer]["peak_rss_mb"] = max(results[peer]["peak_rss_mb"], one["peak_rss_mb"])
            results[peer]["scores"] = one["scores"]
        if time.monotonic() + (time.monotonic() - begin) > deadline:
            say(f"{row}: time is up after {turn + 1} of {args.repeat} turns")
            break
    return finished(results, args.images)


def finished(results, images):
    """Per image; the error is that of the scores, relative to the spread of ours."""
    known = results.get("here-f32", {}).get("scores")
    for result in results.values():
        if not result.get("seconds"):
            continue
        result["images"] = images
        result["min"] = min(result["seconds"]) / images
        result["median"] = statistics.median(result["seconds"]) / images
        result["first_result_seconds"] = min(result.pop("first"))
        scores = result["scores"]
        if known and len(known) == len(scores):
            spread = statistics.pstdev(known)
            off = sum((a - b) ** 2 for a, b in zip(scores, known)) / len(known)
            result["check"] = {"map_error": off**0.5 / spread}
    for result in results.values():
        result.pop("scores", None)
        result.pop("first", None)
    return results
