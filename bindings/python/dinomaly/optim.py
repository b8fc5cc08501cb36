"""Optimizers, clipping of gradients, the learning rate over time."""

from ._dinomaly import SGD, AdamW, Optimizer, StableAdamW, WarmCosineSchedule, clip_grad_norm, grad_norm

__all__ = ["SGD", "AdamW", "Optimizer", "StableAdamW", "WarmCosineSchedule", "clip_grad_norm", "grad_norm"]
