"""Writes tests/dinomaly/weights/checkpoints/: small files of every kind PyTorch users have, and a few that no honest
program writes. Needs torch. Element i of tensor NAME is ((7 i + 3 len(NAME)) mod 64) / 32 - 1, exact in every
float type, so that the tests can tell what should come out.

  python3 make_checkpoints.py
"""
import enum
import pathlib
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import torch

OUT = pathlib.Path(__file__).parent / "checkpoints"
WIDTH, HIDDEN, DEPTH, PATCH, GRID, REGISTERS = 4, 16, 2, 2, 2, 1


def values(name, shape, dtype=torch.float32):
    count = int(torch.tensor(shape).prod()) if shape else 1
    flat = ((torch.arange(count) * 7 + 3 * len(name)) % 64) / 32 - 1
    return flat.reshape(shape).to(dtype)


def linear(name, rows, columns, bias=True):
    return {f"{name}.weight": (rows, columns), **({f"{name}.bias": (rows,)} if bias else {})}


def norm(name):
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}


def encoder_shapes():
    shapes = {"cls_token": (1, 1, WIDTH), "pos_embed": (1, 1 + GRID * GRID, WIDTH),
              "register_tokens": (1, REGISTERS, WIDTH), "mask_token": (1, WIDTH),
              "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH), "patch_embed.proj.bias": (WIDTH,)}
    for block in range(DEPTH):
        start = f"blocks.{block}."
        shapes |= norm(start + "norm1") | norm(start + "norm2")
        shapes |= {start + "ls1.gamma": (WIDTH,), start + "ls2.gamma": (WIDTH,)}
        shapes |= linear(start + "attn.qkv", 3 * WIDTH, WIDTH) | linear(start + "attn.proj", WIDTH, WIDTH)
        shapes |= linear(start + "mlp.fc1", HIDDEN, WIDTH) | linear(start + "mlp.fc2", WIDTH, HIDDEN)
    return shapes | norm("norm")


def trained_shapes(bias):
    shapes = linear("bottleneck.0.fc1", 4 * WIDTH, WIDTH, bias) | linear("bottleneck.0.fc2", WIDTH, 4 * WIDTH, bias)
    for block in range(2):
        start = f"decoder.{block}."
        shapes |= norm(start + "norm1") | norm(start + "norm2")
        shapes |= linear(start + "attn.qkv", 3 * WIDTH, WIDTH) | linear(start + "attn.proj", WIDTH, WIDTH)
        shapes |= linear(start + "mlp.fc1", 4 * WIDTH, WIDTH, bias)
        shapes |= linear(start + "mlp.fc2", WIDTH, 4 * WIDTH, bias)
    return shapes


def state(shapes, prefix="", dtype=torch.float32):
    return OrderedDict((prefix + name, values(name, shape, dtype)) for name, shape in shapes.items())


def timm_encoder(prefix):
    meta = state(encoder_shapes())
    meta["cls_token"] = meta["cls_token"] + meta["pos_embed"][:, :1]
    meta["pos_embed"] = meta["pos_embed"][:, 1:]
    del meta["mask_token"]
    return OrderedDict((prefix + name.replace("register_tokens", "reg_token"), tensor) for name, tensor in meta.items())


def views_of_one_storage():
    """f16 and bf16, all of a kind in one storage; matrices lie in it transposed."""
    shapes, result = encoder_shapes(), OrderedDict()
    for dtype, names in ((torch.float16, list(shapes)[::2]), (torch.bfloat16, list(shapes)[1::2])):
        pieces = [values(name, shapes[name], dtype) for name in names]
        flat = torch.cat([(piece.t() if piece.dim() == 2 else piece).reshape(-1) for piece in pieces])
        begin = 0
        for name, piece in zip(names, pieces):
            part = flat[begin:begin + piece.numel()]
            begin += piece.numel()
            result[name] = part.view(piece.shape[::-1]).t() if piece.dim() == 2 else part.view(piece.shape)
            assert torch.equal(result[name], piece)
    return result


def lightning(state_dict, hyper_parameters):
    """What a Trainer adds around a state dict, an object of a class of its own among it."""
    module = types.ModuleType("anomalib")
    module.PrecisionType = enum.Enum("PrecisionType", {"FLOAT32": "float32"}, module="anomalib")
    sys.modules["anomalib"] = module
    return {"epoch": 1, "global_step": 2, "pytorch-lightning_version": "2.6.0", "state_dict": state_dict,
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
            "callbacks": {"ModelCheckpoint": {"best_model_score": None, "dirpath": "weights"}},
            "optimizer_states": [{"state": {0: {"step": 1, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 2e-3}]}],
            "lr_schedulers": [], "hparams_name": "kwargs",
            "hyper_parameters": {**hyper_parameters, "precision": module.PrecisionType.FLOAT32}}


def anomalib(encoder):
    result = OrderedDict({"post_processor.image_min": torch.tensor(float("nan"))})
    result.update(encoder)
    trained = state(trained_shapes(False))
    result.update({"model." + name: tensor for name, tensor in trained.items()})
    result["model.gaussian_blur.kernel"] = torch.full((1, 1, 5, 5), 0.04)
    for name, tensor in trained.items():
        part, rest = name.split(".", 1)
        result[f"trainable_modules.{0 if part == 'bottleneck' else 1}.{rest}"] = tensor
    return result


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def hostile_view(path, size, stride, offset):
    """A tensor that says of itself what torch would refuse to make."""
    torch.save({"x": torch.arange(8.0)}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    # (offset BININT1 0, size (8,), stride (1,)) becomes the wild ones.
    old = b"K\x00K\x08\x85q\x08K\x01\x85q\t"
    assert entries[name].count(old) == 1, entries[name]
    def number(value):
        return pickle.dumps(value, 2)[2:-1]
    entries[name] = entries[name].replace(old, number(offset) + number(size) + b"\x85" + number(stride) + b"\x85")
    rewrite(path, entries)


def rewrite(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)


def rewrite_as_zip64():
    """views.pth with 64-bit sizes and offsets throughout, as in archives of more than 4 GB. Needs no torch."""
    with zipfile.ZipFile(OUT / "views.pth") as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    usual, zipfile.ZIP64_LIMIT = zipfile.ZIP64_LIMIT, -1
    rewrite(OUT / "zip64.pth", entries)
    zipfile.ZIP64_LIMIT = usual


def main():
    OUT.mkdir(exist_ok=True)
    meta = state(encoder_shapes())
    torch.save(meta, OUT / "meta.pth")
    torch.save(OrderedDict((n, torch.nn.Parameter(t)) for n, t in meta.items()), OUT / "parameters.pth")
    torch.save(views_of_one_storage(), OUT / "views.pth")
    torch.save({"a": torch.ones(2)}, OUT / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(state(encoder_shapes(), "encoder.") | state(trained_shapes(True)), OUT / "authors.pth")
    torch.save(lightning(anomalib(timm_encoder("model.encoder.feature_extractor.")),
                         {"bottleneck_dropout": 0.4, "decoder_depth": 2, "target_layers": [0, 1],
                          "fuse_layer_encoder": None, "remove_class_token": True}), OUT / "anomalib.ckpt")
    torch.save(lightning(anomalib(state(encoder_shapes(), "model.encoder.")), {}), OUT / "anomalib_old.ckpt")

    import os
    torch.save({**meta, "extra": Calls(os.system, "touch /tmp/dinomaly-was-run")}, OUT / "calls_inside.pth")
    torch.save(Calls(os.system, "touch /tmp/dinomaly-was-run"), OUT / "calls.pth")
    hostile_view(OUT / "stride.pth", 8, 2, 0)
    hostile_view(OUT / "offset.pth", 8, 1, 1)
    hostile_view(OUT / "negative.pth", 8, 1, -1)
    hostile_view(OUT / "repeated.pth", 1 << 40, 0, 0)
    hostile_view(OUT / "overflow.pth", (1 << 62) + 1, 4, 0)
    with zipfile.ZipFile(OUT / "meta.pth") as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    rewrite(OUT / "compressed.pth", {n: d + bytes(1 << 20 if n.endswith("data/0") else 0) for n, d in entries.items()},
            zipfile.ZIP_DEFLATED)
    rewrite(OUT / "no_storage.pth", {n: d for n, d in entries.items() if not n.endswith("data/3")})
    rewrite(OUT / "short_storage.pth", {n: d[:8] if n.endswith("data/3") else d for n, d in entries.items()})
    rewrite_as_zip64()
    rewrite(OUT / "not_torch.pth", {"word/document.xml": b"<p/>"})


if __name__ == "__main__":
    main()
