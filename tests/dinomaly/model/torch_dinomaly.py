"""The paper's Dinomaly and Dinomaly2 in PyTorch, as the authors' model.pth holds them: the same state dict keys, the
same sums."""
import math

import torch
import torch.nn.functional as F
from torch import nn


class Mlp(nn.Module):
    def __init__(self, width, hidden, drop=0.0):
        super().__init__()
        self.fc1, self.fc2, self.drop = nn.Linear(width, hidden), nn.Linear(hidden, width), nn.Dropout(drop)

    def forward(self, x):
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(self.drop(x))))))


class Attention(nn.Module):
    """Softmax attention, or the linear one of the decoder."""

    def __init__(self, width, heads, linear, eps=0):
        super().__init__()
        self.heads, self.linear, self.eps = heads, linear, eps
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if self.linear:
            q, k = F.elu(q) + 1, F.elu(k) + 1
            out = (q @ (k.transpose(-2, -1) @ v)) / (q @ k.sum(-2).unsqueeze(-1) + self.eps)
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, width))


class LayerScale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, width, heads, encoder):
        super().__init__()
        eps = 1e-6 if encoder else 1e-8
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attn, self.mlp = Attention(width, heads, not encoder), Mlp(width, 4 * width)
        self.ls1 = LayerScale(width) if encoder else nn.Identity()
        self.ls2 = LayerScale(width) if encoder else nn.Identity()

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, width, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)


class Encoder(nn.Module):
    def __init__(self, width, heads, depth, patch, grid, registers):
        super().__init__()
        self.patch, self.grid = patch, grid
        self.cls_token, self.mask_token = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, width))
        self.patch_embed = PatchEmbed(width, patch)
        self.blocks = nn.ModuleList(Block(width, heads, True) for _ in range(depth))
        self.norm = nn.LayerNorm(width, 1e-6)

    def positions(self, rows, columns):
        table = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        if (rows, columns) != (self.grid, self.grid):
            scale = ((rows + 0.1) / self.grid, (columns + 0.1) / self.grid)
            table = F.interpolate(table, scale_factor=scale, mode="bicubic")
        return table.flatten(2).transpose(1, 2)

    def forward(self, images, targets):
        batch, rows, columns = images.shape[0], images.shape[2] // self.patch, images.shape[3] // self.patch
        patches = self.patch_embed.proj(images).flatten(2).transpose(1, 2) + self.positions(rows, columns)
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(batch, -1, -1)
        x, features = torch.cat([cls, self.register_tokens.expand(batch, -1, -1), patches], 1), []
        for block in self.blocks[:max(targets) + 1]:
            x = block(x)
            features.append(x)
        return [features[target] for target in targets]


class TorchDinomaly(nn.Module):
    def __init__(self, width, heads, depth, patch, grid, registers, targets=range(2, 10)):
        super().__init__()
        self.targets = list(targets)
        self.encoder = Encoder(width, heads, depth, patch, grid, registers)
        self.bottleneck = nn.ModuleList([Mlp(width, 4 * width, 0.2)])
        self.decoder = nn.ModuleList(Block(width, heads, False) for _ in range(8))

    def target(self, mean, patches):
        return mean[:, -patches:]

    def forward(self, images):
        """images (B, 3, H, W) -> map (B, H, W) before the blur, score (B)."""
        encoded = self.encoder(images, self.targets)
        x, decoded = torch.stack(encoded).mean(0), []
        for layer in self.bottleneck:
            x = layer(x)
        for block in self.decoder:
            x = block(x)
            decoded.insert(0, x)
        rows, columns = (size // self.encoder.patch for size in images.shape[2:])
        distances = []
        for first in (0, 4):
            means = [torch.stack(side[first:first + 4]).mean(0) for side in (encoded, decoded)]
            pair = self.target(means[0], rows * columns), means[1][:, -rows * columns:]
            distance = 1 - F.cosine_similarity(*pair, dim=2)
            distance = distance.view(-1, 1, rows, columns)
            distances.append(F.interpolate(distance, images.shape[2:], mode="bilinear", align_corners=True))
        anomaly = torch.cat(distances, 1).mean(1, keepdim=True)
        small = F.interpolate(anomaly, (256, 256), mode="bilinear", align_corners=False)
        offsets = torch.arange(-2.0, 3.0)
        kernel = torch.exp(-(offsets[:, None] ** 2 + offsets ** 2) / 32)
        blurred = F.conv2d(small, (kernel / kernel.sum())[None, None], padding=2).flatten(1)
        top = blurred.sort(dim=1, descending=True)[0][:, :math.floor(0.01 * 256 * 256)]
        return anomaly[:, 0], top.mean(1)


class TorchDinomaly2(TorchDinomaly):
    def __init__(self, width, *shape, **others):
        super().__init__(width, *shape, **others)
        self.bottleneck = nn.ModuleList([
            nn.Sequential(nn.Linear(width, 256), nn.Dropout(0.4)),
            nn.Sequential(nn.Linear(256, 4 * width), nn.GELU(), nn.Dropout(0.4), nn.Linear(4 * width, width), nn.Dropout(0.4)),
        ])
        for block in self.decoder:
            block.attn.eps = 1e-8

    def target(self, mean, patches):
        return F.layer_norm(mean[:, -patches:] - mean[:, :1], mean.shape[-1:], eps=1e-8)
