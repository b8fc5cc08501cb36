"""Layers, and `Module`, of which own networks are made:

    class Network(nn.Module):
        def __init__(self):
            self.fc1 = nn.Linear(1, 32)
            self.fc2 = nn.Linear(32, 1)

        def __call__(self, x):
            return self.fc2(ops.gelu(self.fc1(x)))

The layers themselves are the framework's (`Layer`); a Module is a Python object that holds layers, other modules and
parameters, in lists, too, and finds them by the names of its attributes.
"""

from ._dinomaly import (
    Attention, Conv2d, Dropout, ExponentialMovingAverage, InputError, Layer, LayerNorm, LayerScale, Linear,
    LinearAttention, Mlp, PatchEmbed, SwiGLU, Variable, quantize, truncated_normal, xavier_uniform,
)  # fmt: skip

__all__ = [
    "Attention", "Conv2d", "Dropout", "ExponentialMovingAverage", "Layer", "LayerNorm", "LayerScale", "Linear",
    "LinearAttention", "Mlp", "Module", "PatchEmbed", "SwiGLU", "quantize", "truncated_normal", "xavier_uniform",
]  # fmt: skip


class Module:
    """A network of attributes: each Variable that requires a gradient is a parameter, each Layer and Module a part."""

    training = True

    def _parts(self):
        for name, value in vars(self).items():
            if isinstance(value, (list, tuple)):
                for index, item in enumerate(value):
                    yield f"{name}.{index}", item
            else:
                yield name, value

    def named_parameters(self):
        """Paths and variables, in the order in which the attributes were set. A tied one is listed once."""
        found, seen = [], []
        for name, part in self._parts():
            if isinstance(part, Variable) and part.requires_grad:
                below = [(name, part)]
            elif isinstance(part, (Layer, Module)):
                below = [(f"{name}.{path}", variable) for path, variable in part.named_parameters()]
            else:
                continue
            for path, variable in below:
                if not any(variable.is_same(other) for other in seen):
                    seen.append(variable)
                    found.append((path, variable))
        return found

    def parameters(self):
        return [variable for _, variable in self.named_parameters()]

    def state_dict(self):
        """The values under their paths; they share the parameters' memory."""
        values = {}
        for name, part in self._parts():
            if isinstance(part, Variable) and part.requires_grad:
                values[name] = part.value
            elif isinstance(part, (Layer, Module)):
                values.update({f"{name}.{path}": value for path, value in part.state_dict().items()})
        return values

    def load_state_dict(self, values, source="state_dict"):
        """Raises InputError naming what is missing, unexpected or misshapen, and then changes nothing."""
        own = self.state_dict()
        missing = [name for name in own if name not in values]
        unexpected = [name for name in values if name not in own]
        misshapen = [
            f"{name} {values[name].shape} instead of {own[name].shape}"
            for name in own
            if name in values and values[name].shape != own[name].shape
        ]
        faults = [("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen)]
        if any(names for _, names in faults):
            text = "; ".join(f"{what}: {', '.join(names)}" for what, names in faults if names)
            raise InputError(f"{source}: {text}")
        for name, value in own.items():
            value.copy_from(values[name])

    def train(self, on=True):
        """Whether dropout drops, here and below."""
        self.training = on
        for _, part in self._parts():
            if isinstance(part, (Layer, Module)):
                part.train(on)

    def eval(self):
        self.train(False)

    def to(self, dtype_or_device):
        for _, part in self._parts():
            if isinstance(part, Variable) and part.requires_grad:
                part.set_value(part.value.to(dtype_or_device))
            elif isinstance(part, (Layer, Module)):
                part.to(dtype_or_device)

    def set_requires_grad(self, on):
        for variable in self.parameters():
            variable.requires_grad = on
