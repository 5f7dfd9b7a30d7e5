"""One neuron learns y = 2x - 1 from six points, with PyTorch."""

import torch

x = torch.tensor([[-1.0], [0.0], [1.0], [2.0], [3.0], [4.0]])
y = torch.tensor([[-3.0], [-1.0], [1.0], [3.0], [5.0], [7.0]])
neuron = torch.nn.Linear(1, 1)
torch.nn.init.constant_(neuron.weight, 0.5)
torch.nn.init.zeros_(neuron.bias)
optimizer = torch.optim.SGD(neuron.parameters(), lr=0.01)
for _ in range(500):
    prediction = neuron(x)
    loss, mae = torch.nn.functional.mse_loss(prediction, y), (prediction - y).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history = loss.item(), mae.item()
with torch.no_grad():
    print(neuron(torch.tensor([[10.0]])).item())
