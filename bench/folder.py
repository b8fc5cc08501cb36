#!/usr/bin/env python3
"""A folder of JPEGs through the whole of another program: files in, a score a line out, in the files' order.

    folder.py prepare --weights F.safetensors --work bench/work --drawn DIR --count 500
    folder.py run PEER IMAGES --model F --threads 2 [--streams N] [--batch N]

Decoding and preprocessing are what `dinomaly predict --area crop` does: the whole JPEG, 448 x 448 bilinear with antialiasing, the
centre's 392 x 392, normalised. Pillow does it in threads (OpenVINO) or in the 2 workers of a DataLoader (PyTorch).
"""

import argparse
import collections
import concurrent.futures
import pathlib
import sys

import numpy as np
from PIL import Image

RESIZE, CROP = 448, 392
MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
SCALE = 1 / (np.array([0.229, 0.224, 0.225], np.float32) * 255)


def read(path):
    """(3, CROP, CROP) f32."""
    image = Image.open(path).convert("RGB").resize((RESIZE, RESIZE), Image.BILINEAR)
    begin = (RESIZE - CROP) // 2
    pixels = np.asarray(image.crop((begin, begin, begin + CROP, begin + CROP)))
    return np.ascontiguousarray(((pixels - MEAN) * SCALE).transpose(2, 0, 1), dtype=np.float32)


def files_in(folder):
    return sorted(pathlib.Path(folder).glob("*.jpg"))


def say(path, score):
    print(f"{float(score):.6f}  {path}", flush=True)


def read_ahead(paths, threads):
    """Each path with its pixels, in order; a few are read ahead."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        for path in paths:
            waiting.append((path, pool.submit(read, path)))
            if len(waiting) > 4 * threads:
                first, pixels = waiting.popleft()
                yield first, pixels.result()
        for path, pixels in waiting:
            yield path, pixels.result()


def run_openvino(args):
    import openvino

    options = {"INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "THROUGHPUT"}
    options["INFERENCE_PRECISION_HINT"] = "f32"  # of what is not quantised
    if args.streams:
        options["NUM_STREAMS"] = args.streams
    compiled = openvino.Core().compile_model(args.model, "CPU", options)
    queue = openvino.AsyncInferQueue(compiled)  # as many requests as the program recommends
    scores, said = {}, 0

    def done(request, number):
        scores[number] = request.get_output_tensor(1).data.item()

    queue.set_callback(done)
    paths = files_in(args.images)
    for number, (_, pixels) in enumerate(read_ahead(paths, args.threads)):
        queue.start_async(pixels[None], number)
        while said in scores:
            say(paths[said], scores.pop(said))
            said += 1
    queue.wait_all()
    for number in range(said, len(paths)):
        say(paths[number], scores[number])


def run_torch(args):
    import torch
    from safetensors.torch import load_file

    import dinomaly_torch

    class Images(torch.utils.data.Dataset):
        def __init__(self, paths):
            self.paths = paths

        def __len__(self):
            return len(self.paths)

        def __getitem__(self, i):
            return read(self.paths[i])

    torch.set_num_threads(args.threads)
    model = dinomaly_torch.load(args.arch, load_file(args.model))
    paths = files_in(args.images)
    loader = torch.utils.data.DataLoader(Images(paths), args.batch or 1, num_workers=2)
    done = 0
    with torch.inference_mode():
        for images in loader:
            for score in model(images)[1]:
                say(paths[done], score)
                done += 1


def prepare(args):
    """JPEGs of 1024 x 1024, and the weights as a model file for `dinomaly`."""
    from safetensors.numpy import load_file, save_file

    drawn = sorted(pathlib.Path(args.drawn).rglob("*/good/*.png"))
    target = args.work / "jpeg"
    target.mkdir(exist_ok=True)
    for number in range(args.count):
        path = target / f"{number:04}.jpg"
        if not path.exists():
            image = Image.open(drawn[number % len(drawn)]).convert("RGB").resize((1024, 1024), Image.BICUBIC)
            image.save(path, quality=92)
    for path in files_in(target)[args.count :]:
        path.unlink()
    tensors = load_file(args.weights)
    save_file({name: t for name, t in tensors.items() if not name.startswith(("input/", "expect/"))}, args.model)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare")
    preparing.add_argument("--weights", required=True)
    preparing.add_argument("--work", type=pathlib.Path, required=True)
    preparing.add_argument("--drawn", required=True, help="a data set of `dinomaly make-dataset`")
    preparing.add_argument("--model", required=True, help="the file for `dinomaly predict` to write")
    preparing.add_argument("--count", type=int, default=500)
    running = commands.add_parser("run")
    running.add_argument("peer")
    running.add_argument("images")
    running.add_argument("--model", required=True)
    running.add_argument("--arch", default="small")
    running.add_argument("--threads", type=int, default=2)
    running.add_argument("--streams", type=int, default=0, help="0: as many as OpenVINO chooses for throughput")
    running.add_argument("--batch", type=int, default=0)
    args = parser.parse_args()
    if args.command == "prepare":
        return prepare(args)
    return run_openvino(args) if args.peer.startswith("openvino") else run_torch(args)


if __name__ == "__main__":
    sys.exit(main())
