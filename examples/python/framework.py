"""The tensor framework from Python, in one screen."""

import numpy as np

# [snippet: framework]
from dinomaly import Tensor, Variable, nn, ops, optim

array = np.ones((2, 4), np.float32)
x = Tensor(array)  # on NumPy's memory, or PyTorch's, where it is contiguous
x.numpy()  # and back without a copy; torch.from_dlpack(x) likewise

w = Variable(np.eye(4, dtype=np.float32), requires_grad=True)
handle = w.register_hook(lambda gradient: gradient * 0.5)
ops.gelu(Variable(x) @ w).sum().backward()


class Network(nn.Module):  # attributes are its parts: layers, parameters, other modules, lists of these
    def __init__(self):
        self.fc = nn.Linear(4, 1)

    def __call__(self, x):
        return ops.relu(self.fc(x))


network = Network()
optimizer = optim.AdamW(network.parameters())
network(Variable(x)).sum().backward()
optimizer.step(learning_rate=1e-3)
# [end]
