"""The networks of `sequence_networks.py` in torch, from the same weights.

Every parameter is one of Keras', in the same order: a matrix is the transpose of Keras' kernel
with its heads side by side, and the gates of the LSTM are in the same order. The LSTM is written
twice. `nn.LSTM` is the faster one in a plain pass, and what BackPACK has a rule for; it has a
second bias, which is zero and has no counterpart in Keras. For `vmap`, derivatives forwards and
packages that look for `nn.Linear` it is a loop over the steps.
"""

import numpy as np
import torch
from torch import nn

__all__ = [
    "LSTM",
    "SEQUENCES",
    "LSTMSteps",
    "Transformer",
    "as_chain",
    "in_keras_order",
    "load_weights",
]


class Transformer(nn.Module):
    """Rows as tokens of 64 numbers, four heads of attention, two layers behind, ten logits."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Linear(28, 64)
        self.normal = nn.LayerNorm(64, eps=1e-3)
        self.query = nn.Linear(64, 64)
        self.key = nn.Linear(64, 64)
        self.value = nn.Linear(64, 64)
        self.mixed = nn.Linear(64, 64)
        self.normal_of_mixed = nn.LayerNorm(64, eps=1e-3)
        self.wide = nn.Linear(64, 256)
        self.narrow = nn.Linear(256, 64)
        self.normal_of_all = nn.LayerNorm(64, eps=1e-3)
        self.logits = nn.Linear(64, 10)

    def forward(self, images):
        """Logits of images `[n, 1, 28, 28]`."""
        tokens = self.tokens(images.reshape(-1, 28, 28))
        hidden = tokens + self.attention(self.normal(tokens))
        wide = torch.relu(self.wide(self.normal_of_mixed(hidden)))
        hidden = hidden + self.narrow(wide)
        return self.logits(self.normal_of_all(hidden).mean(1))

    def attention(self, x):
        """Four heads; in plain operations, which every kind of derivative goes through."""
        query, key, value = (
            layer(x).reshape(-1, 28, 4, 16).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        weights = (query @ key.transpose(2, 3) / 4).softmax(-1)
        return self.mixed((weights @ value).transpose(1, 2).reshape(-1, 28, 64))


class LSTMSteps(nn.Module):
    """Rows as 28 steps of 64 units, ten logits: two linear maps and a loop."""

    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(28, 256, bias=False)
        self.recurrent = nn.Linear(64, 256)
        self.logits = nn.Linear(64, 10)

    def forward(self, images):
        """Logits of images `[n, 1, 28, 28]`."""
        rows = self.inputs(images.reshape(-1, 28, 28))
        hidden = state = torch.zeros_like(rows[:, 0, :64])
        for row in rows.unbind(1):
            opened, kept, candidate, shown = (row + self.recurrent(hidden)).chunk(4, -1)
            state = kept.sigmoid() * state + opened.sigmoid() * candidate.tanh()
            hidden = shown.sigmoid() * state.tanh()
        return self.logits(hidden)


class LSTM(nn.Module):
    """The same network with `nn.LSTM`."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(28, 64, batch_first=True)
        self.logits = nn.Linear(64, 10)

    def forward(self, images):
        """Logits of images `[n, 1, 28, 28]`."""
        hidden, _ = self.cell(images.reshape(-1, 28, 28))
        return self.logits(hidden[:, -1])


# By name: the network of a plain pass, and the one in elementary layers.
SEQUENCES = {"transformer": (Transformer, Transformer), "lstm": (LSTM, LSTMSteps)}


def as_chain(model):
    """The network with `nn.LSTM` as a chain of modules, for BackPACK; others as they are."""
    if not isinstance(model, LSTM):
        return model
    from backpack.custom_module.reduce_tuple import ReduceTuple
    from backpack.custom_module.slicing import Slicing

    last = Slicing((slice(None), -1))
    return nn.Sequential(nn.Flatten(1, 2), model.cell, ReduceTuple(0), last, model.logits)


def of_keras(model):
    """Parameters that have a counterpart in Keras, by name."""
    return {k: v for k, v in model.named_parameters() if k != "cell.bias_hh_l0"}


def load_weights(model, weights):
    """Keras' weights in torch's shapes; the second bias of `nn.LSTM` is zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for parameter, weight in zip(of_keras(model).values(), weights, strict=True):
            weight = weight.reshape(tuple(parameter.shape)[::-1])
            parameter.copy_(torch.tensor(np.ascontiguousarray(weight.T)))


def in_keras_order(model, values):
    """One tensor per parameter, flat, in Keras' order of axes."""
    kept = of_keras(model)
    named = zip(model.named_parameters(), values, strict=True)
    flat = [
        value.detach().numpy().reshape(parameter.shape).T.ravel()
        for (name, parameter), value in named
        if name in kept
    ]
    return np.concatenate(flat).astype(np.float64)
