"""The packages' side of dinov3_packages_test.cpp: their own DINOv3 encoders, made small.

  dinov3_packages.py run timm|transformers gelu|swiglu ENCODER.safetensors IO.safetensors    load ENCODER strictly; the features of IO's images
  dinov3_packages.py save timm|transformers gelu|swiglu ENCODER.safetensors IO.safetensors   save a random encoder; images and their features

Features go to IO as `block.N`: the output of each block, all tokens. Exit status 77: a package is not installed.
"""
import pathlib
import shutil
import sys
import tempfile
from functools import partial

WIDTH, HEADS, DEPTH, PATCH, REGISTERS, GATED = 32, 2, 3, 16, 4, 48

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError:
    sys.exit(77)


def timm_encoder(gated):
    try:
        from timm.models.eva import Eva
    except ImportError:
        sys.exit(77)
    # The arguments of timm's vit_small_patch16_dinov3_qkvb and vit_small_plus_patch16_dinov3_qkvb, but for the sizes.
    gate = {"swiglu_mlp": True, "swiglu_align_to": 8, "mlp_ratio": GATED / WIDTH} if gated else {}
    return Eva(patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, num_reg_tokens=REGISTERS, qkv_bias=True,
               dynamic_img_size=True, init_values=1e-5, rope_type="dinov3", rope_temperature=100, rope_rotate_half=True,
               use_rot_pos_emb=True, use_abs_pos_emb=False, use_fc_norm=False, num_classes=0,
               norm_layer=partial(torch.nn.LayerNorm, eps=1e-5), **gate)


def transformers_encoder(gated):
    try:
        from transformers import DINOv3ViTConfig, DINOv3ViTModel
    except ImportError:
        sys.exit(77)
    return DINOv3ViTModel(DINOv3ViTConfig(
        patch_size=PATCH, hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, num_register_tokens=REGISTERS,
        intermediate_size=GATED if gated else 4 * WIDTH, use_gated_mlp=gated, hidden_act="silu" if gated else "gelu"))


def features(encoder, images):
    """The blocks' outputs, whatever the package calls its list of blocks."""
    outputs = {}
    blocks = next(m for m in encoder.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == DEPTH)
    for n, block in enumerate(blocks):
        block.register_forward_hook(lambda _module, _input, y, n=n: outputs.update({f"block.{n}": y.contiguous()}))
    encoder(images)
    return outputs


def randomize(encoder):
    torch.manual_seed(3)
    for name, parameter in encoder.named_parameters():
        if name.endswith(("token", "tokens")):
            parameter.normal_()
        elif parameter.dim() == 1:
            parameter.normal_(0.0 if name.endswith("bias") else 1.0, 0.2)
        else:
            parameter.normal_(0, parameter[0].numel() ** -0.5)


def load(encoder, package, path):
    """With the package's own reader: the encoder holding the file's tensors, all of them and no others."""
    if package == "timm":
        encoder.load_state_dict(load_file(path), strict=True)
        return encoder
    with tempfile.TemporaryDirectory() as folder:
        encoder.config.save_pretrained(folder)
        shutil.copy(path, pathlib.Path(folder) / "model.safetensors")
        loaded, found = type(encoder).from_pretrained(folder, output_loading_info=True)
    wrong = {kind: names for kind, names in found.items() if names}
    if wrong:
        sys.exit(f"{path}: {wrong}")
    return loaded


def save(encoder, package, path):
    if package == "timm":
        save_file({name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}, path)
        return
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_pretrained(folder)
        shutil.copy(pathlib.Path(folder) / "model.safetensors", path)


task, package, mlp, path, io = sys.argv[1:]
model = {"timm": timm_encoder, "transformers": transformers_encoder}[package](mlp == "swiglu")
with torch.no_grad():
    if task == "run":
        model, pictures = load(model, package, path), load_file(io)["images"]
    else:
        randomize(model)
        save(model, package, path)
        pictures = torch.randn(2, 3, 3 * PATCH, 5 * PATCH)
    save_file({"images": pictures, **features(model.eval(), pictures)}, io)
