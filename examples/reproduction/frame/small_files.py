"""The usual way to a small file: pruning by size, rounding to eight bits, zlib."""

import zlib

import keras
import numpy as np


def prune(network: keras.Model, kept: float) -> None:
    """Set the smallest weights of every kernel to zero, where a constraint keeps them.

    Args:
        network: what is pruned; compile it again before it is trained on.
        kept: share of the weights that stays.
    """
    for weight in network.trainable_weights:
        value = weight.numpy()
        if value.ndim > 1:
            mask = (np.abs(value) >= np.quantile(np.abs(value), 1.0 - kept)).astype("float32")
            weight.constraint = lambda tensor, mask=mask: tensor * mask
            weight.assign(value * mask)


def quantise(network: keras.Model) -> int:
    """Round every weight to 8 bits of its tensor; returns their bytes in zlib (a Huffman code)."""
    content, found = b"", []
    for weight in network.get_weights():
        step = max(np.abs(weight).max(), 1e-12) / 127.0
        integers = np.rint(weight / step).astype(np.int8)
        found.append(integers * step)
        content += np.float32(step).tobytes() + integers.tobytes()
    network.set_weights(found)
    return len(zlib.compress(content, 9))
