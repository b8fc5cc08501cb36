"""Layers, modules of one's own, optimizers, files: what a reader of the book needs."""

import dinomaly
import numpy as np
import pytest
from dinomaly import Generator, Tensor, Variable, nn, ops, optim


class Network(nn.Module):
    def __init__(self, seed):
        self.fc1 = nn.Linear(1, 32)
        self.hidden = [nn.Linear(32, 32)]
        self.out = nn.Linear(32, 1)
        generator = Generator(seed)
        for parameter in self.parameters():
            if len(parameter.shape) == 2:
                nn.xavier_uniform(parameter, generator)

    def __call__(self, x):
        x = ops.gelu(self.fc1(x))
        for layer in self.hidden:
            x = ops.gelu(layer(x))
        return self.out(x)


X = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
Y = np.sin(3 * X)


def error(network):
    return ops.mean(ops.pow(network(Variable(X)) - Variable(Y), 2.0))


@pytest.mark.parametrize("make", [optim.AdamW, optim.StableAdamW, lambda p: optim.SGD(p, momentum=0.9)])
def test_a_network_learns(make):
    network = Network(1)
    optimizer = make(network.parameters())
    peak = 0.2 if isinstance(optimizer, optim.SGD) else 0.01
    schedule = optim.WarmCosineSchedule(peak=peak, final=1e-4, warmup_steps=20, total_steps=300)
    assert schedule(0) == 0 and schedule(19) == peak
    before = error(network).item()
    for step in range(300):
        loss = error(network)
        optimizer.zero_grad()
        loss.backward()
        norm = optim.clip_grad_norm(network.parameters(), 1.0)
        assert norm >= 0 and optim.grad_norm(network.parameters()) <= 1.0 + 1e-6
        optimizer.step(schedule(step))
    assert error(network).item() < before / 10
    state = optimizer.state()
    other = make(Network(1).parameters())
    other.load_state(state)
    assert other.state().keys() == state.keys()


def test_state_dict(tmp_path):
    network = Network(1)
    state = network.state_dict()
    assert list(state) == ["fc1.weight", "fc1.bias", "hidden.0.weight", "hidden.0.bias", "out.weight", "out.bias"]
    assert [name for name, _ in network.named_parameters()] == list(state)
    dinomaly.save_safetensors(tmp_path / "network.safetensors", state)
    other = Network(2)
    other.load_state_dict(dinomaly.load_safetensors(tmp_path / "network.safetensors"))
    assert np.array_equal(other(Variable(X)).numpy(), network(Variable(X)).numpy())
    before = other(Variable(X)).numpy().copy()
    for wrong, text in [({"fc1.weight": state["fc1.weight"]}, "missing: fc1.bias"),
                        ({**state, "more": state["out.bias"]}, "unexpected: more"),
                        ({**state, "out.bias": Tensor([1.0, 2.0])}, "out.bias")]:  # fmt: skip
        with pytest.raises(dinomaly.InputError, match=text):
            other.load_state_dict(wrong, "the file")
    assert np.array_equal(other(Variable(X)).numpy(), before)


def test_module_modes():
    class Inner(nn.Module):
        def __init__(self, tied):
            self.dropout = nn.Dropout(0.5)
            self.weight = Variable([1.0], requires_grad=True)
            self.tied = tied

    inner = Inner(Variable([2.0], requires_grad=True))

    class Outer(nn.Module):
        def __init__(self):
            self.inner = inner
            self.again = inner.tied

    outer = Outer()
    assert [name for name, _ in outer.named_parameters()] == ["inner.weight", "inner.tied"]
    x, generator = Variable(np.ones(100, np.float32)), Generator(1)
    assert 0 in inner.dropout(x, generator).numpy()
    outer.eval()
    assert 0 not in inner.dropout(x, generator).numpy()
    outer.to("bf16")
    assert inner.weight.dtype == "bf16"
    outer.set_requires_grad(False)
    assert not inner.weight.requires_grad


def test_layers():
    generator = Generator(2)
    x = Variable(Tensor.normal([2, 5, 8], 0, 1, generator))
    for layer in [nn.Linear(8, 8), nn.LayerNorm(8), nn.LayerScale(8), nn.Mlp(8, 16), nn.SwiGLU(8, 16), nn.Attention(8, 2),
                  nn.LinearAttention(8, 2)]:  # fmt: skip
        for parameter in layer.parameters():
            nn.truncated_normal(parameter, 0.3, 1.0, generator)
        y = layer(x)
        assert y.shape == (2, 5, 8)
        y.sum().backward()
        assert all(parameter.grad is not None for parameter in layer.parameters())
        if isinstance(layer, (nn.Linear, nn.Mlp, nn.SwiGLU, nn.Attention, nn.LinearAttention)):
            assert np.allclose(layer(x, residual=x).numpy(), x.numpy() + layer(x).numpy(), atol=1e-6)
    images = Variable(np.ones((1, 3, 8, 8), np.float32))
    assert nn.PatchEmbed(4, 6)(images).shape == (1, 4, 6)
    assert nn.Conv2d(3, 5, 3, padding=1, bias=False)(images).shape == (1, 5, 8, 8)


def test_averages_and_int8():
    layer = nn.Linear(8, 8)
    average = nn.ExponentialMovingAverage(layer, 0.5)
    layer.weight.value.fill(1)
    average.update(layer)
    assert np.all(average.state()["weight"].numpy() == 0.5)
    average.copy_to(layer)
    assert np.all(layer.weight.numpy() == 0.5)
    mlp, x = nn.Mlp(8, 16), Variable(Tensor.normal([4, 8], 0, 1, Generator(1)))
    for parameter in mlp.parameters():
        nn.truncated_normal(parameter, 0.3, 1.0, Generator(1))
    exact = mlp(x).numpy().copy()
    nn.quantize(mlp, lambda: mlp(x))
    with dinomaly.no_grad():
        assert np.allclose(mlp(x).numpy(), exact, atol=0.1)
