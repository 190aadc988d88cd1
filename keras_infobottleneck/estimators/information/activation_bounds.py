"""Bounds on the information in activations from noise on the weights: "Emergence", Section 5."""

from __future__ import annotations

import dataclasses
import numbers

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import (
    check_flag,
    check_integers,
    check_numbers,
    check_positive,
    refusal,
)
from keras_infobottleneck.results.result import Result

__all__ = [
    "ActivationInformationBounds",
    "activation_information_bounds",
    "linear_layer_information",
    "noise_variance_of_information",
]


@dataclasses.dataclass(frozen=True)
class ActivationInformationBounds(Result):
    """Bounds on the information in the activations of each layer, in nats.

    Attributes:
        per_unit: `g(alpha)`.
        lower: Lower bound on `I(x; z) + TC(z)` of each layer alone, for uncorrelated inputs.
        upper: Upper bound on the same.
        network: Upper bound on `I(x; z)` of the last layer's output, for any nonlinearities.

    Example:
        ```python
        import keras_infobottleneck as kib

        bounds = kib.estimators.activation_information_bounds(alpha=[0.1, 1.0], num_units=[20, 10])
        print(bounds.lower.round(1), bounds.upper.round(1), round(bounds.network, 1))  # nats
        ```

        ```text
        [23.5  2.3] [43.5 12.3] 12.3
        ```
    """

    per_unit: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    network: float

    _points = ("per_unit", "lower", "upper")

    def numbers(self) -> dict[str, float]:
        """The bound through all layers, and the smallest and largest bounds of the layers."""
        found = {"network": self.network}
        for name in self._points:
            values = getattr(self, name)
            found |= {f"{name}_min": float(values.min()), f"{name}_max": float(values.max())}
        return found

    def __repr__(self) -> str:
        return (
            f"ActivationInformationBounds(at most {self.network:.6g} nats through "
            f"{len(self.upper)} layers)"
        )


def activation_information_bounds(
    alpha: ArrayLike, num_units: ArrayLike
) -> ActivationInformationBounds:
    """Bounds on the information about the input in layers with multiplicative weight noise.

    If `log w ~ N(., alpha)` for every weight of a linear layer, let `g(alpha) = -1/2 log(1 -
    exp(-alpha))` nats per unit. For uncorrelated inputs of zero mean and bounded kurtosis

        dim(z) g(alpha) <= I(x; z) + TC(z) <= dim(z) [g(alpha) + c],   c = O(1 / dim(x)) <= 1.

    `lower` and `upper` (with c = 1) are the two sides. Through a stack of layers with any
    nonlinearity

        I(x; z_L) <= min_k dim(z_k) [g(alpha_k) + 1].

    The bounds hold for Gaussian pre-activations (many inputs per unit); the last is far from tight.
    `g` falls with the noise: it rises with the information in the weights.

    Args:
        alpha: Variance of `log w`, one number or one per layer; `noise_variance_of_information`
            computes it from nats.
        num_units: Number of units of each layer.

    Raises:
        ValueError: `alpha` is not positive, or `num_units` are not positive integers or have
            another length.

    References:
        Achille & Soatto, 2018, JMLR 19(50), arXiv 1706.01350, Proposition 5.2 and Corollary 5.3.

    Example:
        ```python
        import keras_infobottleneck as kib

        bounds = kib.estimators.activation_information_bounds(alpha=[0.5], num_units=[10])
        print(bounds.per_unit.round(3))  # -log(1 - exp(-0.5)) / 2 nats
        ```

        ```text
        [0.466]
        ```
    """
    num_units = [num_units] if isinstance(num_units, numbers.Number) else num_units
    units = check_integers("num_units", num_units, "[layers]", 1)
    given, alpha = alpha, check_numbers("alpha", alpha, None, 0, open_below=True)
    if alpha.shape not in ((), (1,), units.shape):
        expected = f"be one number, or one for each of {len(units)} layers"
        raise refusal(ValueError, "alpha", expected, given)
    per_unit = np.broadcast_to(_nats_per_unit(alpha), units.shape)
    upper = units * (per_unit + 1.0)
    return ActivationInformationBounds(per_unit, units * per_unit, upper, float(upper.min()))


def linear_layer_information(kernel: ArrayLike, alpha: ArrayLike, x: ArrayLike) -> float:
    """`I(z; x) + TC(z)` of a linear layer with multiplicative noise on its weights, in nats.

    For `z = x (eps * kernel)`, `log eps ~ N(-alpha/2, alpha)` and Gaussian z and z|x, with
    `a = exp(alpha) - 1` and squares taken entry by entry:

        -1/2 sum_j E_x log [ a k_j^2 . x^2 / (k_j^T Cov(x) k_j + a k_j^2 . E[x^2]) ].

    Exact under that assumption, with the moments of the given x as those of the inputs. It falls as
    the noise grows, and is infinite if an input makes the noise of a unit vanish. Cost: two
    products of x with the kernel.

    Args:
        kernel: Means of the weights, `[inputs, units]`, as in `keras.layers.Dense`.
        alpha: Variance of `log w`: one number, or any shape that broadcasts to the kernel's.
        x: Inputs, `[examples, inputs]`.

    Returns:
        Nats, a sum over units and a mean over examples.

    Raises:
        ValueError: Shapes do not match, or numbers are not finite or not positive.

    References:
        Achille & Soatto, 2018, JMLR 19(50), arXiv 1706.01350, Proposition 5.1.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        kernel, x = random.normal(size=(400, 1)), random.normal(size=(2000, 400))
        nats = kib.estimators.linear_layer_information(kernel, 0.5, x)
        print(f"{nats:.2f}")  # near -log(1 - exp(-0.5)) / 2 = 0.47 nats
        ```

        ```text
        0.47
        ```
    """
    kernel = check_numbers("kernel", kernel, "[inputs, units]")
    x = check_numbers("x", x, f"[examples, {len(kernel)}]")
    given, alpha = alpha, check_numbers("alpha", alpha, None, 0, open_below=True)
    try:
        variance = np.broadcast_to(np.expm1(alpha), kernel.shape) * kernel**2
    except ValueError:
        expected = f"broadcast to the kernel's shape {kernel.shape}"
        raise refusal(ValueError, "alpha", expected, given) from None
    has_weights = np.any(kernel != 0, 0)  # units without any weights have no information
    noise = x**2 @ variance[:, has_weights]
    signal = np.mean(((x - x.mean(0)) @ kernel[:, has_weights]) ** 2, 0)
    with np.errstate(divide="ignore"):
        ratios = np.log(signal + noise.mean(0)) - np.log(noise)
    return float(0.5 * np.sum(np.mean(ratios, 0)))


def noise_variance_of_information(
    nats: ArrayLike, num_weights: ArrayLike, *, max_variance: float = 1.0, paper_form: bool = False
) -> np.float64 | np.ndarray:
    """Variance of `log w`, equal for all weights, at which a layer holds this many nats.

    `alpha = max_variance exp(-2 nats / num_weights)`, the inverse of the information
    `1/2 sum log(max_variance / alpha)` of log-normal weights, which is zero at `max_variance`.

    Args:
        nats: Information in the weights of each layer.
        num_weights: Number of weights of each layer.
        max_variance: The cap of the layer's variance; 1 for the papers' relative information.
        paper_form: The printed `exp(-nats / num_weights)`, without the 2 of its own definition.

    Raises:
        ValueError: Nats are negative, or numbers of weights or the cap are not positive.

    References:
        Achille & Soatto, 2018, JMLR 19(50), arXiv 1706.01350, Propositions 4.1 and 5.2.

    Example:
        ```python
        import keras_infobottleneck as kib

        print(f"{kib.estimators.noise_variance_of_information(nats=100.0, num_weights=100):.4f}")
        ```

        ```text
        0.1353
        ```
    """
    nats = check_numbers("nats", nats, None, 0)
    sizes = check_integers("num_weights", num_weights, None, 1)
    if sizes.ndim and nats.ndim and sizes.shape != nats.shape:
        expected = f"be one number, or one for each of the nats, of shape {nats.shape}"
        raise refusal(ValueError, "num_weights", expected, num_weights)
    cap = check_positive("max_variance", max_variance)
    check_flag("paper_form", paper_form)
    return cap * np.exp(-(1.0 if paper_form else 2.0) * nats / sizes)


def _nats_per_unit(alpha: np.ndarray) -> np.float64 | np.ndarray:
    """Nats per unit of a layer whose log-noise has variance alpha: `-1/2 log(1 - exp(-alpha))`."""
    return -0.5 * np.log(-np.expm1(-alpha))
