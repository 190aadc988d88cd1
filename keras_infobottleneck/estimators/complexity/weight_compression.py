"""Simpler measures of the same weights: complexity of the signs, sizes after gzip and lzma."""

import gzip
import lzma
from dataclasses import dataclass

import numpy as np

from keras_infobottleneck.arguments import check_count, check_number
from keras_infobottleneck.estimators.complexity.block_decomposition import (
    BLOCK_SIDE,
    block_decomposition_complexity,
)
from keras_infobottleneck.estimators.complexity.weight_matrices import (
    Layout,
    Weights,
    matrices_of_blocks,
)
from keras_infobottleneck.estimators.complexity.weight_quantization import (
    MAX_BITS,
    quantization_levels,
)
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.result import Result

__all__ = ["WeightCompression", "weight_compression"]


@dataclass(frozen=True, repr=False)
class WeightCompression(Result):
    """Sizes of the weights after general compression, for comparison with `quantized_complexity`.

    Sums over the same tensors.

    Attributes:
        sign_bits: Block decomposition complexity of ``w > 0``, in bits.
        raw_bytes: Size of the float32 weights; ``gzip_raw``, ``lzma_raw`` compressed, in bytes.
        plane_bytes: Size of the packed bit planes of the quantised weights; ``gzip_planes``,
            ``lzma_planes`` compressed, in bytes.
        skipped: Weights that were not measured, with the reason.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        weights = np.random.default_rng(0).normal(size=(64, 64))
        found = kib.estimators.weight_compression(weights)
        print(found.raw_bytes, found.lzma_raw > 0)
        ```

        ```text
        16384 True
        ```
    """

    sign_bits: float
    raw_bytes: int
    gzip_raw: int
    lzma_raw: int
    plane_bytes: int
    gzip_planes: int
    lzma_planes: int
    skipped: dict[str, str]

    def savings(self) -> dict[str, float]:
        """``1 - compressed / raw`` for each compressor and input."""
        return {
            "gzip_raw": 1 - self.gzip_raw / self.raw_bytes,
            "lzma_raw": 1 - self.lzma_raw / self.raw_bytes,
            "gzip_planes": 1 - self.gzip_planes / self.plane_bytes,
            "lzma_planes": 1 - self.lzma_planes / self.plane_bytes,
        }


@on_replicas
def weight_compression(
    weights: Weights,
    *,
    num_bits: int = 8,
    clip_percentile: float | None = 99.9,
    layout: Layout | None = None,
) -> WeightCompression:
    """Complexity of the signs, and sizes after gzip and lzma, of the weights of a network.

    These are the measures with which ``quantized_complexity`` is compared, on the same tensors in
    the same matrices (of any rank, unlike the published code, which gives convolutions 0). The
    float32 weights of all tensors are one stream, their packed bit planes another. Exact and
    deterministic; lzma takes about a second per million weights, and all bytes are in memory.

    Args:
        weights: A Keras model, or arrays (see ``layout``).
        num_bits: Number of bit planes, from 1 to 16.
        clip_percentile, layout: As in ``quantized_complexity``.

    Returns:
        A ``WeightCompression``.

    Raises:
        TypeError, ValueError: As ``quantized_complexity``.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        rows = np.tile(np.sin(np.arange(64)), (64, 1))  # every row is the same
        found = kib.estimators.weight_compression(rows)
        print(found.lzma_planes < found.plane_bytes)
        ```

        ```text
        True
        ```
    """
    check_count("num_bits", num_bits, most=MAX_BITS)
    check_number("clip_percentile", clip_percentile, 0, 100, open_below=True, optional=True)
    matrices, skipped = matrices_of_blocks(weights, layout, BLOCK_SIDE)
    raw, planes, sign_bits = [], [], 0.0
    for matrix in matrices:
        values = matrix.values()
        sign_bits += block_decomposition_complexity(values > 0)
        raw.append(values.astype(np.float32).tobytes())
        levels = quantization_levels(values, num_bits=num_bits, clip_percentile=clip_percentile)
        planes += [np.packbits((levels >> i) & 1).tobytes() for i in range(num_bits)]
    raw, planes = b"".join(raw), b"".join(planes)
    return WeightCompression(
        sign_bits=sign_bits,
        raw_bytes=len(raw),
        gzip_raw=len(gzip.compress(raw)),
        lzma_raw=len(lzma.compress(raw)),
        plane_bytes=len(planes),
        gzip_planes=len(gzip.compress(planes)),
        lzma_planes=len(lzma.compress(planes)),
        skipped=skipped,
    )
