"""Writes the model of --weights for ONNX Runtime and OpenVINO: MODELS/ARCH-SIZE-bBATCH.onnx and .xml."""

import argparse
import pathlib
import sys

import dinomaly_torch
import torch
from safetensors.torch import load_file


def plain_cosine_similarity(a, b, dim):
    """OpenVINO's reader of PyTorch models does not know torch.cosine_similarity."""
    norms = a.norm(dim=dim).clamp_min(1e-8) * b.norm(dim=dim).clamp_min(1e-8)
    return (a * b).sum(dim) / norms


def export(args):
    tensors = load_file(args.weights)
    model, images = dinomaly_torch.load(args.arch, tensors), tensors["input/images"]
    target = pathlib.Path(args.models) / f"{args.arch}-{images.shape[-1]}-b{len(images)}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        try:
            torch.onnx.export(model, (images,), f"{target}.onnx", dynamo=True, external_data=False, optimize=True)
            print(f"{target}.onnx")
        except Exception as error:  # the other runtime may still work
            print(f"ONNX export failed: {error}", file=sys.stderr)
    try:
        import openvino

        dinomaly_torch.cosine_similarity = plain_cosine_similarity
        openvino.save_model(openvino.convert_model(model, example_input=images), f"{target}.xml", compress_to_fp16=False)
        print(f"{target}.xml")
    except Exception as error:
        print(f"OpenVINO conversion failed: {error}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=list(dinomaly_torch.ARCHITECTURES), default="small")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--models", required=True)
    export(parser.parse_args())


if __name__ == "__main__":
    main()
