"""Writes the model of --weights for ONNX Runtime and OpenVINO: MODELS/ARCH-SIZE-bBATCH.onnx and .xml, and -int8.xml, that of
NNCF's static quantisation after training. With --int8-images DIR only -folder-int8.xml is made, for these JPEGs."""

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


def quantize(target, ending, samples):
    """TARGET.xml as TARGET + ENDING, its activations' ranges found on samples (N, 3, H, W) each."""
    import nncf
    import openvino

    model = openvino.Core().read_model(f"{target}.xml")
    small = nncf.quantize(
        model, nncf.Dataset(samples), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples)
    )
    openvino.save_model(small, f"{target}{ending}", compress_to_fp16=False)
    print(f"{target}{ending}")


def export_folder(args):
    import folder

    size = load_file(args.weights)["input/images"].shape[-1]
    samples = [folder.read(path)[None] for path in folder.files_in(args.int8_images)]
    quantize(pathlib.Path(args.models) / f"{args.arch}-{size}-b1", "-folder-int8.xml", samples)


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
        return
    try:  # as here, on the very images; and on others like them
        torch.manual_seed(1)
        others = [torch.randn_like(images).numpy() for _ in range(-(-16 // len(images)))]
        quantize(target, "-int8.xml", [images.numpy(), *others])
    except Exception as error:
        print(f"NNCF's quantisation failed: {error}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=list(dinomaly_torch.ARCHITECTURES), default="small")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--int8-images", help="a folder of JPEGs")
    args = parser.parse_args()
    export_folder(args) if args.int8_images else export(args)


if __name__ == "__main__":
    main()
