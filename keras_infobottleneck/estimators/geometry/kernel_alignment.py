"""Similarity of two representations of the same examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import seed_or_fresh
from keras_infobottleneck.estimators.geometry.centred_products import (
    biased_alignment_products,
    unbiased_products,
)
from keras_infobottleneck.estimators.geometry.states import varied_states
from keras_infobottleneck.results.result import Result

__all__ = ["KernelAlignment", "centered_kernel_alignment"]


@dataclasses.dataclass(frozen=True)
class KernelAlignment(Result):
    """Centred kernel alignment of two representations of the same examples.

    Attributes:
        debiased: 1 for representations that are equal up to rotation and size, about 0 for
            independent ones, where it may be negative.
        standard_error: Standard error of `debiased`, by leaving out tenths of the examples.
        biased: The usual form, which is high for independent wide layers.
        null: `debiased` with the examples of one representation permuted (truth: 0).
        biased_null: `biased` for the same permutation, which shows its bias.
        num_examples: Number of examples.
        seed: Seed of the permutation.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        first, second = np.random.default_rng(0).normal(size=(2, 100, 500))  # independent
        found = kib.estimators.centered_kernel_alignment(first, second, seed=0)
        print(found.biased > 0.8, abs(found.debiased) < 0.1)
        ```

        ```text
        True True
        ```
    """

    debiased: float
    standard_error: float
    biased: float
    null: float
    biased_null: float
    num_examples: int
    seed: int | None = None


def centered_kernel_alignment(
    first: ArrayLike, second: ArrayLike, *, seed: int | None = None
) -> KernelAlignment:
    """Compare how two layers arrange the same examples, by linear kernels.

    ``||Cov(a, b)||^2 / (||Cov(a, a)|| ||Cov(b, b)||)`` in Frobenius norms. It does not change if a
    layer is rotated, shifted or scaled as a whole. It changes if single directions are scaled, and
    a few directions of large variance dominate it.

    The biased form includes every example's product with itself, and is near 1 for random layers
    with more units than examples. The debiased form leaves these products out; it can be negative,
    and a few per cent above 1.

    Cost: tables of all pairs of examples, ``num_examples^2 * units``, ten times for the error.

    Args:
        first, second: States of the same examples in the same order, ``[num_examples, ...]``,
            flattened; at least 40 examples.
        seed: Seed of the permuted null.

    Raises:
        TypeError, ValueError: An array is not valid, there are too few examples, or all states are
            equal.

    References:
        Kornblith, Norouzi, Lee & Hinton (2019), arXiv 1905.00414; Song et al. (2012), JMLR 13, for
        the debiased sums; Murphy, Zylberberg & Fyshe (2024), arXiv 2405.01012, for the trap.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        hidden = random.normal(size=(200, 20))
        rotation = np.linalg.qr(random.normal(size=(20, 20)))[0]
        found = kib.estimators.centered_kernel_alignment(hidden, 3.0 * hidden @ rotation, seed=0)
        print(f"{found.debiased:.3f}")
        ```

        ```text
        1.000
        ```
    """
    a = varied_states("first", first, "[num_examples, ...]", 40)
    b = varied_states("second", second, f"[{len(a)}, ...]", 40)
    seed = seed_or_fresh("seed", seed)
    permuted = b[np.random.default_rng(seed).permutation(len(b))]
    tenths = np.arange(len(a)) % 10
    without = [
        _alignment(a[tenths != tenth], b[tenths != tenth], unbiased_products) for tenth in range(10)
    ]
    return KernelAlignment(
        debiased=_alignment(a, b, unbiased_products),
        standard_error=float(3.0 * np.std(without)),  # the jackknife over tenths
        biased=_alignment(a, b, biased_alignment_products),
        null=_alignment(a, permuted, unbiased_products),
        biased_null=_alignment(a, permuted, biased_alignment_products),
        num_examples=len(a),
        seed=seed,
    )


def _alignment(
    a: np.ndarray, b: np.ndarray, products: Callable[[np.ndarray, np.ndarray], float]
) -> float:
    """Products of a and b over the root of their own; NaN if these are not positive."""
    norms = products(a, a) * products(b, b)
    return products(a, b) / float(np.sqrt(norms)) if norms > 0.0 else float("nan")
