"""Loads `dinomaly serve` on the loopback and checks every answer against `dinomaly predict`.

    serve_load.py PROGRAM MODEL FOLDER [--clients 64] [--requests 10000] [--hostile 0.01] [--seconds S] [--json]
                  [--bench "build/bin/bench_dinomaly infer --arch small"] [-- FLAGS of serve ...]

FOLDER: images, sent in turn. A share of the bodies is hostile: cut, damaged, no image, or far more pixels than bytes. Prints
requests a second, those of `predict` on the same images (loading apart), latencies, answers that were lost or wrong, and the
service's memory as the load goes on. --bench: a command of bench_dinomaly for a model of MODEL's kind, which is then run with
the batch that the service's images have met on average: its images a second, decoding and the rest apart, are the yardstick.
What has not been asked after --seconds, Ctrl-C or SIGTERM is left out, and the summary printed. Exit status 1 where an answer is
lost or wrong, or the service did not end well.
"""

import argparse
import http.client
import json
import random
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from urllib.parse import urlsplit

LATER = {"image", "model"}  # what an answer has otherwise than predict's line


def expected_of(program, model, files, flags):
    lines = subprocess.run([program, "predict", model, *map(str, files), "--json", *flags],
                           stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    return [without_names(json.loads(line)) for line in lines]


def without_names(verdict):
    return {key: value for key, value in verdict.items() if key not in LATER}


def processor_seconds(who=resource.RUSAGE_CHILDREN):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def predict_seconds(program, model, files, flags, count):
    """Seconds per image of `predict`, on the clock and of the processor: many images less few, without the start."""
    def run(images):
        begun, used = time.monotonic(), processor_seconds()
        subprocess.run([program, "predict", model, *map(str, images), "--json", *flags],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return time.monotonic() - begun, processor_seconds() - used
    few = files[:1] * 8
    many = [files[i % len(files)] for i in range(8 + count)]
    return [max(1e-9, (more - less) / count) for more, less in zip(run(many), run(few))]


def bench_seconds(command, batch, repeat):
    """Seconds per image of bench_dinomaly, the median of its repetitions."""
    words = [*shlex.split(command), "--batch", str(batch), "--repeat", str(repeat)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)["seconds_per_image_median"]


def chunk(kind, data):
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def hostile_bodies(good):
    bomb_header = (16000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bomb_header) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    damaged = bytearray(good)
    for i in range(64, len(damaged), max(1, len(damaged) // 97)):
        damaged[i] ^= 0x55
    return [good[:len(good) // 2], bytes(damaged), b"no image at all", bomb, bytes(4096),
            b"P6 30000 30000 255\n" + bytes(64), b"II*\0\x08\0\0\0\xff\xff" + bytes(64)]


class Client(threading.Thread):
    def __init__(self, address, tasks, images, expected, hostile, stop):
        super().__init__(daemon=True)
        self.stop, self.good, self.bad = stop, 0, 0  # answered, of images and of hostile bodies
        self.address, self.tasks, self.images, self.expected, self.hostile = address, tasks, images, expected, hostile
        self.seconds, self.wrong, self.lost, self.busy = [], [], 0, 0

    def run(self):
        connection = http.client.HTTPConnection(self.address, timeout=600)
        for kind, index in self.tasks:
            body = self.hostile[index % len(self.hostile)] if kind else self.images[index]
            while not self.stop.is_set():
                begun = time.monotonic()
                try:
                    connection.request("POST", "/predict", body)
                    answer = connection.getresponse()
                    reply = json.loads(answer.read())
                except (OSError, http.client.HTTPException, ValueError) as error:
                    self.lost += 1
                    self.wrong.append(repr(error))
                    connection.close()
                    break
                if answer.status == 503:
                    self.busy += 1
                    self.stop.wait(float(answer.headers["Retry-After"]))
                    continue
                self.good, self.bad = self.good + (not kind), self.bad + kind
                self.seconds.append(time.monotonic() - begun)
                right = answer.status == 422 and "error" in reply if kind else (
                    answer.status == 200 and without_names(reply) == self.expected[index])
                if not right:
                    self.wrong.append(f"{answer.status} {reply}")
                break
        connection.close()


def resident(pid):
    """In MB; 0 of a process that has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


def metrics_of(address):
    """The service's counters without labels; empty where it does not answer any more."""
    try:
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] not in ("", "#"))}
    except (OSError, http.client.HTTPException):
        return {}


def parsed():
    own, flags = sys.argv[1:], []
    if "--" in own:
        own, flags = own[:own.index("--")], own[own.index("--") + 1:]
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--hostile", type=float, default=0.01)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--bench")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    return parser.parse_args(own), flags


def load(args, server, clients, stop):
    """Lets the clients ask until they are done or it is time; returns seconds and the service's memory on the way."""
    begun, memory, told = time.monotonic(), [], time.monotonic()
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        now = time.monotonic()
        if now - begun > args.seconds or server.poll() is not None:
            stop.set()
        if stop.is_set():  # what is under way is answered, or given up
            [client.join(max(0, now + 60 - time.monotonic())) for client in clients]
            break
        memory.append(resident(server.pid))
        if now - told > 30:
            told = now
            print(f"{sum(client.good + client.bad for client in clients)} of {args.requests} answered", file=sys.stderr)
        time.sleep(0.25)
    return time.monotonic() - begun, memory or [0]


def print_lines(result):
    for name, value in result.items():
        print(f"{name.replace('_', ' '):32}", ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value)


def main():
    args, flags = parsed()
    stop = threading.Event()
    files = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif"))
    images = [path.read_bytes() for path in files]
    if not images:
        sys.exit(f"{args.folder}: no images")
    expected = expected_of(args.program, args.model, files, flags)
    alone, alone_processor = predict_seconds(args.program, args.model, files, flags, min(args.requests, 400))
    used = processor_seconds()
    server = subprocess.Popen([args.program, "serve", args.model, "--port", "0", "--timeout", "600", *flags],
                              stdout=subprocess.PIPE, text=True, start_new_session=True)  # Ctrl-C is not for it
    first = server.stdout.readline().split()
    if not first:
        sys.exit(f"the service did not start: exit status {server.wait()}")
    address = urlsplit(first[-1]).netloc
    rng = random.Random(1)
    tasks = [(rng.random() < args.hostile, i % len(images)) for i in range(args.requests)]
    bodies = hostile_bodies(images[0])
    clients = [Client(address, tasks[i::args.clients], images, expected, bodies, stop) for i in range(args.clients)]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    seconds, memory = load(args, server, clients, stop)
    counters = metrics_of(address)
    server.terminate()
    try:
        status = server.wait(120)
    except subprocess.TimeoutExpired:
        server.kill()
        status = server.wait()
    used = processor_seconds() - used
    latencies = sorted(second for client in clients for second in client.seconds) or [0]
    wrong = [text for client in clients for text in client.wrong]
    good, bad = sum(client.good for client in clients), sum(client.bad for client in clients)
    lost = sum(client.lost for client in clients)
    stuck = sum(client.is_alive() for client in clients)
    quarter = max(1, len(memory) // 4)
    served = good / seconds
    batch = counters.get("dinomaly_batched_images_total", 0) / max(1, counters.get("dinomaly_batches_total", 1))
    result = {
        "requests": args.requests, "answered": good + bad, "hostile": bad, "lost": lost, "stuck": stuck, "wrong": len(wrong) - lost,
        "busy": sum(client.busy for client in clients), "clients": args.clients, "seconds": round(seconds, 1),
        "images_per_second": round(served, 2), "predict_images_per_second": round(1 / alone, 2),
        "share_of_predict": round(served * alone, 3), "images_per_batch": round(batch, 2)}
    if args.bench:
        bench = bench_seconds(args.bench, max(1, round(batch)), 20)
        result |= {"bench_images_per_second": round(1 / bench, 2), "share_of_bench": round(served * bench, 3)}
    result |= {
        "processor_ms_per_image": round(1000 * used / max(1, good), 2), "predict_processor_ms": round(1000 * alone_processor, 2),
        "latency_ms": {name: round(1000 * latencies[int(place * (len(latencies) - 1))], 1)
                       for name, place in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1))},
        "memory_mb": {"second_quarter": round(max(memory[quarter:2 * quarter] or memory)), "last_quarter": round(max(memory[-quarter:])),
                      "peak": round(max(memory))},
        "exit_status": status}  # fmt: skip
    if args.json:
        print(json.dumps(result))
    else:
        print_lines(result)
    for text in wrong[:5]:
        print("wrong:", text[:300], file=sys.stderr)
    sys.exit(1 if wrong or stuck or status != 0 else 0)


if __name__ == "__main__":
    main()
