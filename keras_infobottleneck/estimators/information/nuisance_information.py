"""Information in a representation about a nuisance, by a cross-fitted discriminator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import (
    check_count,
    check_flag,
    check_model,
    check_numbers,
    check_positive,
    check_verbose,
    described,
    seed_or_fresh,
)
from keras_infobottleneck.estimators.information.nuisance_critics import Classifier, Discriminator
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.linear_algebra.units import standardised
from keras_infobottleneck.results.result import Result

__all__ = ["NuisanceInformation", "nuisance_information"]

# Number of values, including the own, over which the ratio is normalised for continuous nuisances.
NUM_VALUES = 1024


@dataclasses.dataclass(frozen=True)
class NuisanceInformation(Result):
    """Information in a layer about a nuisance, `I(z; n)` in nats, with its null.

    Attributes:
        nats: Mean held-out log-density ratio.
        standard_error: Standard error of `nats` over the held-out examples, without the error of
            the discriminator.
        null: Mean of the same estimator with the nuisance permuted over the examples (truth: 0).
        null_std: Standard deviation over permutations; NaN for a single one.
        lower_bound: The better of two variational lower bounds from the same discriminator, each
            below `I(z; n)` in expectation, for any discriminator: that of Nguyen, Wainwright and
            Jordan, and, with `normalize=True`, `nats` itself.
        upper_bound: Entropy `H(n)` of the nuisance in the data if it is discrete, else infinite.
        num_examples: Number of held-out examples: all of them.
        cap: Largest possible value of `nats`: `upper_bound` for classes, the logarithm of the
            number of values with which a continuous nuisance is compared, infinite with
            `normalize=False`. An estimate near its cap means "at least".
        seed: Seed of folds, pairs, permutations and the default discriminator.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        n = random.integers(0, 2, 100)
        z = random.normal(size=(100, 2)).astype("float32")  # tells nothing about n
        found = kib.estimators.nuisance_information(z, n, epochs=2, num_folds=2, seed=0, verbose=0)
        print(found.num_examples, round(found.upper_bound, 2))  # never more than log 2 nats
        ```

        ```text
        100 0.69
        ```
    """

    nats: float
    standard_error: float
    null: float
    null_std: float
    lower_bound: float
    upper_bound: float
    num_examples: int
    cap: float = float("inf")
    seed: int | None = None

    def __repr__(self) -> str:
        return (
            f"NuisanceInformation({self.nats:.4g} ± {self.standard_error:.2g} nats, null "
            f"{self.null:.2g}, between {self.lower_bound:.4g} and {self.upper_bound:.4g}, "
            f"{self.num_examples} examples)"
        )


@on_replicas
def nuisance_information(
    z: ArrayLike,
    n: ArrayLike,
    *,
    discriminator: keras.Model | None = None,
    normalize: bool = True,
    num_folds: int = 5,
    num_permutations: int = 1,
    epochs: int = 100,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    seed: int | None = None,
    verbose: int = 0,
) -> NuisanceInformation:
    """Estimate `I(z; n)`, nats, from a discriminator between joint and unpaired examples.

    A network `D(z, n)` learns to distinguish `z ~ p(z|n)` from `z ~ p(z)`. Near its optimum
    `log D / (1 - D) = log p(z|n) / p(z)`, whose mean over the joint distribution is the
    information:

        I(z; n) = E_n E_{z ~ p(z|n)} log [ D / (1 - D) ]

    By default the ratio is normalised first: its average over the nuisance must be 1 for every `z`,
    so `log sum_m p(m) D(z, m) / (1 - D(z, m))` is subtracted. This makes it a lower bound in
    expectation:

    - for classes the sum is over all of them, with their shares in the data. The estimate is then
      `H(n)` minus the held-out cross-entropy of the classes given `z`, and never above `H(n)`;
    - for a continuous nuisance it is over 1,024 values, or as many as the training folds have,
      including the example's own. The estimate is then at most the logarithm of their number, the
      `cap`, and too low if the truth is close to it;
    - `normalize=False` is the published form, which has no cap.

    How accurate it is:

    - Every example is scored by a network trained without its fold (with early stopping on part of
      the other folds), so that memorisation does not count as information.
    - It is consistent as the discriminator approaches its optimum, and mostly too low.
    - Its standard error does not include the discriminator's own error.
    - `lower_bound` is a bound in expectation.

    Cost: `num_folds * (1 + num_permutations)` trainings of the discriminator.

    Args:
        z: Representation `[num_examples, units, ...]`.
        n: Nuisance: integers or bool `[num_examples]` or `[num_examples, 1]` (discrete), or real
            `[num_examples, ...]`.
        discriminator: Model from `[z, n]` to logits `[batch, 1]`, with `z` standardised, `n`
            one-hot or standardised; trained from its present weights, which are restored. By
            default two hidden layers of 128 units on both inputs, flattened; for classes with a
            normalised ratio on `z` alone, with a logit for each class, trained by their
            cross-entropy.
        normalize: Whether to normalise the density ratio over the nuisance.
        num_folds: Number of folds of the cross-fitting, at least 2.
        num_permutations: Number of runs of the null, at least 1.
        epochs: Largest number of passes over the training folds.
        batch_size, learning_rate: Options of the training.
        seed: Seed of folds, pairs, permutations and the default discriminator.
        verbose: 1 for a progress bar over trainings.

    Raises:
        TypeError: The discriminator is not a Keras model.
        ValueError: A shape or option is wrong, values are not finite, or the nuisance is constant.

    References:
        Achille, Soatto (2018), Emergence of Invariance and Disentanglement, arXiv 1706.01350;
        Nguyen, Wainwright, Jordan (2010), arXiv 0809.0853, and Barber, Agakov (2003), for the
        lower bounds; van den Oord, Li, Vinyals (2018), arXiv 1807.03748, for the bound whose
        own value is among those compared with.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        n = np.random.default_rng(0).integers(0, 2, 200)
        z = np.stack([n, 1 - n], 1).astype("float32")  # tells all about n
        found = kib.estimators.nuisance_information(z, n, epochs=20, num_folds=2, seed=0, verbose=0)
        print(found.nats > 0.3, abs(found.null) < 0.3)
        ```

        ```text
        True True
        ```
    """
    check_flag("normalize", normalize)
    check_count("num_folds", num_folds, 2)
    check_count("num_permutations", num_permutations)
    check_count("epochs", epochs)
    check_count("batch_size", batch_size, most=2**31 - 1)  # the limit of TensorFlow's int32
    check_positive("learning_rate", learning_rate)
    seed = seed_or_fresh("seed", seed)
    check_verbose("verbose", verbose)
    if discriminator is not None:
        check_model("discriminator", discriminator)
    z, n, shares = _standardised_pairs(z, n)
    if len(z) < 10 * num_folds:
        raise ValueError(
            "`num_folds` must leave at least 10 examples per fold. "
            f"Received: num_folds={num_folds} of {len(z)} examples"
        )
    rng = np.random.default_rng(seed)
    upper_bound = float("inf") if shares is None else -float(np.sum(shares * np.log(shares)))
    folds = np.array_split(rng.permutation(len(z)), num_folds)
    num_values = min(NUM_VALUES, len(z) - max(map(len, folds)) + 1)
    options: dict[str, Any] = {
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "epochs": epochs,
        "seed": int(rng.integers(2**31)),
    }
    if discriminator is None and normalize and shares is not None:
        judge = _of_classifier(Classifier(z.shape[1:], np.log(shares), **options))
    else:
        if shares is not None:
            n = np.eye(len(shares), dtype=np.float32)[n]
        critic = Discriminator(discriminator, (z.shape[1:], n.shape[1:]), **options)
        judge = _of_discriminator(critic, normalize, shares, num_values)
    progress = keras.utils.Progbar(num_folds * (1 + num_permutations), verbose=verbose)

    def cross_fitted(n: np.ndarray) -> tuple[np.ndarray, float]:
        """Held-out log-ratio of every example, and the mean of the lower bounds."""
        log_ratio, bounds = np.empty(len(z)), []
        for fold in folds:
            others = np.setdiff1d(np.arange(len(z)), fold)
            log_ratio[fold], bound = judge(z[others], n[others], z[fold], n[fold], rng)
            bounds.append(bound)
            progress.add(1)
        return log_ratio, float(np.mean(bounds))

    initial = [] if discriminator is None else discriminator.get_weights()
    try:
        log_ratio, lower_bound = cross_fitted(n)
        nulls = [
            cross_fitted(n[rng.permutation(len(n))])[0].mean() for _ in range(num_permutations)
        ]
    finally:
        if discriminator is not None:
            discriminator.set_weights(initial)
    nats, cap = float(log_ratio.mean()), float("inf")
    if normalize:
        lower_bound = max(lower_bound, nats)
        cap = float(np.log(num_values)) if shares is None else upper_bound
    return NuisanceInformation(
        nats=nats,
        standard_error=float(log_ratio.std(ddof=1) / np.sqrt(len(z))),
        null=float(np.mean(nulls)),
        null_std=float(np.std(nulls, ddof=1)) if num_permutations > 1 else float("nan"),
        lower_bound=lower_bound,
        upper_bound=upper_bound,
        num_examples=len(z),
        cap=cap,
        seed=seed,
    )


# From training examples z and n, held-out ones and a random generator to the log-ratios of the
# held-out examples, and their lower bound.
Judge = Callable[
    [np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, float]
]


def _of_classifier(critic: Classifier) -> Judge:
    """Function that trains a classifier, and returns held-out log-ratios and their lower bound."""

    def judge(
        z_train: np.ndarray,
        n_train: np.ndarray,
        z: np.ndarray,
        n: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, float]:
        critic.fit(z_train, n_train, rng)
        own = critic.log_ratios(z, n)
        return own, own.mean()  # class probabilities add up to one: both bounds have this value

    return judge


def _of_discriminator(
    critic: Discriminator, normalize: bool, shares: np.ndarray | None, num_values: int
) -> Judge:
    """Function that trains a discriminator, and returns held-out log-ratios and their bound."""

    def judge(
        z_train: np.ndarray,
        n_train: np.ndarray,
        z: np.ndarray,
        n: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, float]:
        critic.fit(z_train, n_train, rng)
        own = critic.log_ratios(z, n)
        apart = np.stack([critic.log_ratios(z, n[rng.permutation(len(n))]) for _ in range(4)])
        if normalize and shares is not None:
            classes = np.eye(len(shares), dtype=np.float32)
            total = critic.log_total(z, classes, np.log(shares))
            own, apart = own - total, apart - total
        elif normalize:
            values = n_train[rng.choice(len(n_train), num_values - 1, replace=False)]
            log_share = -np.log(num_values)
            total = critic.log_total(z, values, np.full(len(values), log_share))
            own, apart = own - np.logaddexp(total, own + log_share), apart - total
        return own, own.mean() - np.exp(apart).mean() + 1

    return judge


def _standardised_pairs(
    z: ArrayLike, n: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Standardised `z`; `n` as class numbers with their shares, or standardised with None."""
    z = check_numbers("z", z, "[num_examples, units, ...]", booleans=True, dtype=None)
    n = check_numbers("n", n, f"[{len(z)}, ...]", booleans=True, dtype=None)
    if np.all(n == n[:1]):
        raise ValueError(f"`n` must vary. Received: n={described(n)}, all equal")
    if n.shape == (len(n), 1) and n.dtype.kind in "biu":  # the form of classes in many datasets
        n = n[:, 0]
    if n.ndim == 1 and n.dtype.kind in "biu":
        _, index, counts = np.unique(n, return_inverse=True, return_counts=True)
        return standardised(z).astype(np.float32), index, counts / len(n)
    z, n = (standardised(part).astype(np.float32) for part in (z, n.reshape(len(n), -1)))
    return z, n, None
