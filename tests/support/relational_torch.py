"""A second relational memory core, in torch, written from the published equations alone."""

import torch
from torch.nn import functional


class TorchRelationalMemory(torch.nn.Module):
    """The core with the package's parameter names; PyTorch differentiates it."""

    def __init__(self, params, *, slots, heads, value, key, blocks, layers, biases):
        super().__init__()
        self.slots, self.heads, self.value, self.key = slots, heads, value, key
        self.blocks, self.layers = blocks, layers
        self.forget_bias, self.input_bias = biases
        self.weights = torch.nn.ParameterDict(
            {name: torch.nn.Parameter(torch.tensor(array)) for name, array in params.items()}
        )

    def linear(self, x, suffix):
        weights = self.weights
        return functional.linear(x, weights[f"W_{suffix}"], weights[f"b_{suffix}"])

    def normalise(self, x, suffix):
        gain, bias = self.weights[f"gain_{suffix}"], self.weights[f"bias_{suffix}"]
        return functional.layer_norm(x, x.shape[-1:], gain, bias)

    def attend(self, x, block):
        """Add to every row what each head reads from all rows."""
        projected = self.normalise(self.linear(x, f"qkv_{block}"), f"qkv_{block}")
        read = []
        for head in projected.chunk(self.heads, dim=-1):
            q, k, v = head.split([self.key, self.key, self.value], dim=-1)
            scores = torch.einsum("bnk,bmk->bnm", q, k) * self.key**-0.5
            read.append(torch.einsum("bnm,bmv->bnv", functional.softmax(scores, dim=-1), v))
        return self.normalise(x + torch.cat(read, dim=-1), f"attention_{block}")

    def think(self, x, block):
        y = x
        for layer in range(self.layers):
            y = self.linear(y, f"mlp_{layer}")
            if layer + 1 < self.layers:
                y = functional.relu(y)
        return self.normalise(x + y, f"mlp_{block}")

    def advance(self, x, memory):
        e = self.linear(x, "in")
        rows = torch.cat([memory, e.unsqueeze(1)], dim=1)
        for block in range(self.blocks):
            rows = self.think(self.attend(rows, block), block)
        candidate = torch.tanh(rows[:, : self.slots])
        from_memory = functional.linear(
            torch.tanh(memory), self.weights["U_g"], self.weights["b_u"]
        )
        i, f = (self.linear(e, "g").unsqueeze(1) + from_memory).chunk(2, dim=-1)
        kept = torch.sigmoid(f + self.forget_bias) * memory
        return torch.sigmoid(i + self.input_bias) * candidate + kept

    def forward(self, x, memory, lengths):
        outputs = []
        for t in range(x.shape[1]):
            live = (t < lengths).reshape(-1, 1, 1)
            memory = torch.where(live, self.advance(x[:, t], memory), memory)
            outputs.append(torch.where(live, memory, 0.0).flatten(1))
        return torch.stack(outputs, dim=1), memory
