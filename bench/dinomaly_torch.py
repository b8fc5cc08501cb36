"""Dinomaly in plain PyTorch, with the parameter names of the authors' checkpoints: what the comparison times as PyTorch."""

import math

import torch
import torch.nn.functional as F
from torch import nn

ARCHITECTURES = {  # width, heads, encoder blocks, target blocks
    "small": (384, 6, 12, range(2, 10)),
    "base": (768, 12, 12, range(2, 10)),
    "large": (1024, 16, 24, range(4, 20, 2)),
}
PATCH, REGISTERS, GRID, MAP_SIZE, DECODER_DEPTH = 14, 4, 37, 256, 8


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def split(self, x):
        batch, tokens, width = x.shape
        return self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)

    def join(self, x):
        return self.proj(x.transpose(1, 2).flatten(2))

    def forward(self, x):
        return self.join(F.scaled_dot_product_attention(*self.split(x)))


class LinearAttention(Attention):
    def forward(self, x):
        q, k, v = self.split(x)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        normaliser = 1 / torch.einsum("...nd,...d->...n", q, k.sum(-2))
        kv = torch.einsum("...nd,...ne->...de", k, v)
        # The authors' einsum of three operands as a product: OpenVINO's own decomposition of it fails.
        return self.join(q @ kv * normaliser.unsqueeze(-1))


class Mlp(nn.Module):
    def __init__(self, width, dropout=0.0):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.dropout = dropout

    def drop(self, x):
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def forward(self, x):
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class Bottleneck(Mlp):
    def forward(self, x):
        return super().forward(self.drop(x))


class LayerScale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, width, heads, attention, eps, scaled):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = attention(width, heads)
        self.ls1 = LayerScale(width) if scaled else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps)
        self.mlp = Mlp(width)
        self.ls2 = LayerScale(width) if scaled else nn.Identity()

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, images):
        return self.proj(images).flatten(2).transpose(1, 2)


class Encoder(nn.Module):
    def __init__(self, width, heads, depth, targets):
        super().__init__()
        self.targets = list(targets)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, GRID * GRID + 1, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, REGISTERS, width))
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList(Block(width, heads, Attention, 1e-6, True) for _ in range(depth))
        self.register_buffer("table", None, persistent=False)  # positions() of the one size that is run

    def positions(self, side):
        """The patches' rows of the table, resized as the authors do: by (n + 0.1) / 37."""
        table = self.pos_embed[:, 1:].reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
        if side != GRID:
            table = F.interpolate(table, scale_factor=(side + 0.1) / GRID, mode="bicubic")
        return table.flatten(2).transpose(1, 2)

    def forward(self, images):
        x = self.patch_embed(images) + self.table
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        x = torch.cat([cls, self.register_tokens.expand(len(images), -1, -1), x], 1)
        outputs = []
        for index, block in enumerate(self.blocks[: self.targets[-1] + 1]):
            x = block(x)
            if index in self.targets:
                outputs.append(x)
        return outputs


cosine_similarity = F.cosine_similarity  # export_models.py replaces it by one that OpenVINO can read


def fuse(features):
    return torch.stack(features, 1).mean(1)


class Dinomaly(nn.Module):
    def __init__(self, arch):
        super().__init__()
        width, heads, depth, targets = ARCHITECTURES[arch]
        self.encoder = Encoder(width, heads, depth, targets).requires_grad_(False)
        self.bottleneck = nn.ModuleList([Bottleneck(width, 0.2)])
        self.decoder = nn.ModuleList(Block(width, heads, LinearAttention, 1e-8, False) for _ in range(DECODER_DEPTH))
        # exp(-(dx^2 + dy^2) / (2 * 4^2)) over 5 x 5 pixels, its sum 1
        line = torch.exp(-((torch.arange(5.0) - 2) ** 2) / 32)
        kernel = torch.outer(line, line)
        self.register_buffer("kernel", (kernel / kernel.sum())[None, None], persistent=False)

    def encode(self, images):
        """The bottleneck's input and the two groups' means, patches only."""
        features = self.encoder(images)
        patches = 1 + REGISTERS
        return fuse(features), [fuse(features[:4])[:, patches:], fuse(features[4:])[:, patches:]]

    def reconstruct(self, x):
        x = self.bottleneck[0](x)
        outputs = []
        for block in self.decoder:
            x = block(x)
            outputs.insert(0, x)
        patches = 1 + REGISTERS
        return [fuse(outputs[:4])[:, patches:], fuse(outputs[4:])[:, patches:]]

    def forward(self, images):
        """(B, 3, S, S) -> map (B, S, S) and score (B)."""
        x, encoded = self.encode(images)
        decoded = self.reconstruct(x)
        size = images.shape[-1]
        side = size // PATCH
        maps = [
            F.interpolate(
                (1 - cosine_similarity(e, d, dim=-1)).reshape(-1, 1, side, side),
                size=(size, size),
                mode="bilinear",
                align_corners=True,
            )
            for e, d in zip(encoded, decoded)
        ]
        anomaly_map = torch.cat(maps, 1).mean(1, keepdim=True)
        small = F.interpolate(anomaly_map, size=(MAP_SIZE, MAP_SIZE), mode="bilinear", align_corners=False)
        blurred = F.conv2d(small, self.kernel.to(small.dtype), padding=2).flatten(1)
        score = torch.topk(blurred, int(0.01 * MAP_SIZE * MAP_SIZE), dim=1).values.mean(1)
        return anomaly_map[:, 0], score

    def trained_parameters(self):
        return [*self.bottleneck.parameters(), *self.decoder.parameters()]


def hard_mining_loss(encoded, decoded, share=0.9, factor=0.1):
    """Mean over groups of the global cosine distance; gradients of the easiest points are weakened by a hook."""
    loss = 0
    for e, d in zip(encoded, decoded):
        e, d = e.detach().float(), d.float()
        with torch.no_grad():
            distance = 1 - F.cosine_similarity(e, d, dim=-1)
            threshold = torch.topk(distance.flatten(), max(1, int(distance.numel() * (1 - share)))).values[-1]
            weight = torch.where(distance < threshold, factor, 1.0)[..., None]
        loss = loss + (1 - F.cosine_similarity(e.flatten(1), d.flatten(1))).mean()
        d.register_hook(lambda gradient, weight=weight: gradient * weight)
    return loss / len(encoded)


class StableAdamW(torch.optim.Optimizer):
    """AdamW with AMSGrad whose step is divided by the RMS of gradient / denominator where that is above 1."""

    def __init__(self, parameters, lr=2e-4, betas=(0.9, 0.999), eps=1e-10, weight_decay=1e-4):
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), lr = group["betas"], group["lr"]
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p), top=torch.zeros_like(p))
                state["step"] += 1
                p.mul_(1 - lr * group["weight_decay"])
                state["m"].lerp_(p.grad, 1 - beta1)
                state["v"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                torch.maximum(state["top"], state["v"], out=state["top"])
                denominator = state["top"].sqrt().div_(math.sqrt(1 - beta2 ** state["step"])).add_(group["eps"])
                rms = (p.grad / denominator).norm() / math.sqrt(p.numel())
                rate = lr / (1 - beta1 ** state["step"]) / max(1.0, rms.item())
                p.addcdiv_(state["m"], denominator, value=-rate)


def load(arch, tensors):
    """A model with the weights that bench_dinomaly --save-weights wrote, for images of the size it wrote."""
    model = Dinomaly(arch)
    weights = {name: t for name, t in tensors.items() if not name.startswith(("input/", "expect/"))}
    model.load_state_dict(weights)
    side = tensors["input/images"].shape[-1] // PATCH
    model.encoder.table = model.encoder.positions(side).detach().contiguous()
    return model.eval()
