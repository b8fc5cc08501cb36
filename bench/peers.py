"""One program of the comparison, in its own process, that answers lines as bench_dinomaly --serve does.

    peers.py PEER --work infer --arch small --weights F.safetensors --threads 2 [--kept-features]

The first line out holds the check, the seconds since the start and the versions; then `run`, `reset`, `peak` on stdin.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys
import time

START = time.perf_counter()

def peak_rss_mb():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def reset_peak():
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")


def spread_error(x, expected):
    """|x - expected| / |expected - its mean|."""
    import numpy as np

    x, expected = np.asarray(x, np.float64), np.asarray(expected, np.float64)
    return float(np.linalg.norm(x - expected) / np.linalg.norm(expected - expected.mean()))


def relative_error(x, expected):
    import numpy as np

    return float(np.max(np.abs(np.asarray(x, np.float64) - expected) / np.abs(expected)))


def numpy_tensors(path, prefixes):
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefixes)}


class Runtime:
    """ONNX Runtime or OpenVINO: a model file in, map and score out. No PyTorch in the process."""

    def __init__(self, args):
        known = numpy_tensors(args.weights, ("input/", "expect/"))
        self.images, self.known = known["input/images"], known
        self.model = pathlib.Path(args.models) / f"{args.arch}-{self.images.shape[-1]}-b{len(self.images)}"

    def check(self):
        anomaly_map, score = self.run()
        return {
            "scores": [float(s) for s in score],
            "map_error": spread_error(anomaly_map, self.known["expect/map"]),
            "score_error": relative_error(score, self.known["expect/score"]),
        }


class OnnxRuntime(Runtime):
    def __init__(self, args):
        super().__init__(args)
        import onnxruntime

        self.versions = {"onnxruntime": onnxruntime.__version__}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(f"{self.model}.onnx", options, ["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def run(self):
        return self.session.run(None, {self.name: self.images})


class OpenVino(Runtime):
    def __init__(self, args):
        super().__init__(args)
        import openvino

        self.versions = {"openvino": openvino.__version__}
        options = {
            "INFERENCE_NUM_THREADS": args.threads,
            "INFERENCE_PRECISION_HINT": "bf16" if "bf16" in args.peer else "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        ending = "-int8.xml" if "int8" in args.peer else ".xml"
        self.compiled = openvino.Core().compile_model(f"{self.model}{ending}", "CPU", options)

    def run(self):
        result = self.compiled([self.images])
        return result[0], result[1]


class Torch:
    """PyTorch: eager or compiled, f32 or bf16 by autocast."""

    def __init__(self, args):
        self.compiled, bf16 = "compile" in args.peer, "bf16" in args.peer
        if self.compiled and args.work == "infer" and args.device == "cpu":
            os.environ.setdefault("TORCHINDUCTOR_FREEZING", "1")  # packs the weights: Inductor's fastest on a CPU
        import torch

        self.torch, self.args = torch, args
        torch.set_num_threads(args.threads)
        self.versions = {"torch": torch.__version__}
        self.precision = lambda: torch.autocast(args.device, torch.bfloat16, enabled=bf16)
        from safetensors.torch import load_file

        tensors = load_file(args.weights)
        self.images = tensors["input/images"].clone().to(args.device)
        self.known = {name: t.numpy().copy() for name, t in tensors.items() if name.startswith("expect/")}
        self.model = self.build(tensors).to(args.device)
        del tensors
        self.compile()
        if args.work == "train":
            self.start_training()

    def build(self, tensors):
        import dinomaly_torch

        return dinomaly_torch.load(self.args.arch, tensors)

    def compile(self):
        wrap = self.torch.compile if self.compiled else lambda function: function
        self.forward = wrap(self.model.forward)
        if self.args.work == "train":
            self.encode, self.reconstruct = wrap(self.model.encode), wrap(self.model.reconstruct)

    def start_training(self):
        import dinomaly_torch

        self.parameters = self.model.trained_parameters()
        self.optimizer = dinomaly_torch.StableAdamW(self.parameters)
        self.kept = self.encode_batch() if self.args.kept_features else None

    def encode_batch(self):
        with self.torch.no_grad(), self.precision():
            return self.encode(self.images)

    def loss(self):
        from dinomaly_torch import hard_mining_loss

        x, encoded = self.kept or self.encode_batch()
        with self.precision():
            decoded = self.reconstruct(x)
        return hard_mining_loss(encoded, decoded)

    def backward(self):
        """Loss and gradient norm; the gradients are clipped."""
        loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        return loss, self.torch.nn.utils.clip_grad_norm_(self.parameters, 0.1)

    def infer(self):
        with self.torch.inference_mode(), self.precision():
            return self.forward(self.images)

    def run(self):
        if self.args.work == "infer":
            self.infer()
        else:
            self.model.train()
            self.backward()
            self.optimizer.step()
        if self.args.device == "cuda":
            self.torch.cuda.synchronize()

    def check(self):
        if self.args.work == "infer":
            anomaly_map, score = (t.float().cpu().numpy() for t in self.infer())
            return {
                "scores": score.tolist(),
                "map_error": spread_error(anomaly_map, self.known["expect/map"]),
                "score_error": relative_error(score, self.known[self.score_name()]),
            }
        self.model.eval()
        loss, norm = (t.item() for t in self.backward())
        return {
            "loss": loss,
            "grad_norm": norm,
            "loss_error": relative_error(loss, self.known["expect/loss"]),
            "grad_error": relative_error(norm, self.known["expect/grad_norm"]),
        }

    def score_name(self):
        return "expect/score"


class Anomalib(Torch):
    """Intel's own model class around timm's ViT, with our weights; its layers without bias get none, as ours are 0."""

    def build(self, tensors):
        import timm
        from anomalib.models.image.dinomaly import torch_model

        self.versions.update(anomalib=__import__("importlib.metadata", fromlist=["version"]).version("anomalib"))
        self.versions.update(timm=timm.__version__)
        create, size = timm.create_model, self.images.shape[-1]

        def offline(name, **options):  # nothing is downloaded; the position table is made for this size
            return create(name, **{**options, "pretrained": False, "img_size": size})

        timm.create_model = offline
        try:
            model = torch_model.DinomalyModel(f"vit_{self.args.arch}_patch14_reg4_dinov2")
        finally:
            timm.create_model = create
        encoder = next(m for m in model.encoder.modules() if hasattr(m, "pos_embed"))
        encoder_prefix = next(n for n, m in model.named_modules() if m is encoder)
        self.fill(model, encoder_prefix, tensors)
        return model.eval()

    def fill(self, model, prefix, tensors):
        import torch
        import dinomaly_torch

        table = dinomaly_torch.load(self.args.arch, tensors).encoder.table
        state = model.state_dict()
        for name in state:
            if name.startswith(prefix + "."):
                inner = name[len(prefix) + 1 :]
                source = {"reg_token": "register_tokens"}.get(inner, inner)
                if source == "pos_embed":
                    state[name] = table
                elif source == "cls_token":  # timm keeps the CLS position inside the token
                    state[name] = tensors["encoder.cls_token"] + tensors["encoder.pos_embed"][:, :1]
                elif "encoder." + source in tensors:
                    state[name] = tensors["encoder." + source]
            elif name in tensors:
                state[name] = tensors[name]
            elif name.startswith(("bottleneck", "decoder")):
                raise KeyError(name)
        model.load_state_dict(state)
        with torch.no_grad():
            for parameter in model.encoder.parameters():
                parameter.requires_grad_(False)

    def compile(self):
        self.forward = self.model

    def start_training(self):
        from anomalib.models.image.dinomaly.components import StableAdamW

        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = StableAdamW(
            self.parameters, lr=2e-4, betas=(0.9, 0.999), weight_decay=1e-4, amsgrad=True, eps=1e-8
        )

    def infer(self):
        with self.torch.inference_mode():
            batch = self.model(self.images)
        return batch.anomaly_map[:, 0], batch.pred_score

    def loss(self):
        self.model.train()  # it has no loss in eval mode
        return self.model(self.images, global_step=5000)

    def check(self):
        drops = [m for m in self.model.modules() if isinstance(m, self.torch.nn.Dropout) and m.p > 0]
        before = [m.p for m in drops]
        for module in drops:
            module.p = 0.0
        result = super().check()
        result.pop("grad_error", None)  # layers without bias have no bias gradients, so the norm differs
        for module, p in zip(drops, before):
            module.p = p
        return result

    def score_name(self):
        return "expect/score_anomalib"


def serve(args):
    kinds = {"onnxruntime": OnnxRuntime, "openvino": OpenVino, "torch": Torch, "anomalib": Anomalib}
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(line):
        print(json.dumps(line), file=out, flush=True)

    peer = kinds[args.peer.split("-")[0]](args)
    check = peer.check()
    first = {"check": check, "first_result_seconds": time.perf_counter() - START}
    answer({**first, "peak_rss_mb": peak_rss_mb(), "versions": peer.versions})
    for line in sys.stdin:
        if line == "run\n":
            begin = time.perf_counter()
            peer.run()
            answer({"seconds": time.perf_counter() - begin})
        elif line == "reset\n":
            reset_peak()
            answer({})
        elif line == "peak\n":
            answer({"peak_rss_mb": peak_rss_mb()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer")
    parser.add_argument("--work", choices=["infer", "train"], default="infer")
    parser.add_argument("--arch", choices=["small", "base", "large"], default="small")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--models", default=".")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--kept-features", action="store_true")
    serve(parser.parse_args())


if __name__ == "__main__":
    main()
