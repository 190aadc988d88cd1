"""Mutual information of two sets of variables, by five methods with different weaknesses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import rankdata

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_numbers,
    check_positive,
    check_verbose,
    described,
    seed_or_fresh,
)
from keras_infobottleneck.estimators.information.mixture_densities import MixtureDensities
from keras_infobottleneck.estimators.information.nearest_neighbours import (
    nearest_neighbour_cap,
    nearest_neighbour_terms,
)
from keras_infobottleneck.estimators.information.repeated_pairs import num_repeated
from keras_infobottleneck.estimators.information.separable_critic import SeparableCritic
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.result import Result

__all__ = ["MutualInformation", "mutual_information"]

KINDS = {
    "infonce": "lower bound in expectation, capped",
    "nwj": "lower bound in expectation, of a variance that grows like exp(I)",
    "smile": "no bound: biased by clipping",
    "knife": "no bound: a difference of two upper bounds on entropies",
    "ksg": "no bound: consistent, low in many dimensions",
}
# Distance to its cap, in nats, from which an estimate is "at least", and the gap that is flagged.
NEAR_CAP = 0.5
LARGE_GAP = 0.1
# Nats times the number of training pairs below which a critic finds nothing, measured for Gaussians
# with one dimension each; and the number of standard errors that distinguishes nats from zero.
FOUND_NATS, FOUND_ERRORS = 20.0, 3.0
# Number of dimensions of the pair above which nearest neighbours are too far away.
MANY_DIMENSIONS = 10
# Share of repeated pairs above which a flag is raised.
MANY_COPIES = 0.01


@dataclasses.dataclass(frozen=True, repr=False)
class MutualInformation(Result):
    """Mutual information in nats, with its null, its cap and reasons to doubt it.

    Attributes:
        nats: The estimate, on examples that were not used for training.
        standard_error: Standard error over examples. It does not include the error of the trained
            network or, with ``"ksg"``, the dependence of terms that share neighbours.
        method: The method.
        kind: Whether it is a bound, and of which kind.
        cap: Largest possible estimate for this number of examples; infinite if there is none.
        null: The same estimate with the examples of `x` permuted (truth: 0).
        null_std: Standard deviation over permutations; NaN for a single one.
        train_nats: Estimate on the training examples; NaN with ``"ksg"``, which trains no network.
        num_examples: Number of pairs.
        seed: Seed that reproduces the estimate.
        flags: Reasons to doubt the number, one sentence each; empty if none were found.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        z = random.normal(size=(500, 1))
        x = 0.9 * z + np.sqrt(1 - 0.9**2) * random.normal(size=(500, 1))  # 0.83 nats
        found = kib.estimators.mutual_information(z, x, method="ksg", seed=0)
        print(f"{found.nats:.1f} {abs(found.null) < 0.1} {found.flags}")
        ```

        ```text
        0.8 True ()
        ```
    """

    nats: float
    standard_error: float
    method: str
    kind: str
    cap: float
    null: float
    null_std: float
    train_nats: float
    num_examples: int
    seed: int
    flags: tuple[str, ...] = ()

    @property
    def gap(self) -> float:
        """Generalisation gap: nats of the training pairs minus nats of the held-out ones."""
        return self.train_nats - self.nats

    def __repr__(self) -> str:
        flags = "".join(f"\n  {flag}" for flag in self.flags)
        return (
            f"MutualInformation({self.nats:.4g} ± {self.standard_error:.2g} nats by "
            f"{self.method!r}, {self.kind}; null {self.null:.2g}, cap {self.cap:.3g}, "
            f"{self.num_examples} examples){flags}"
        )


@on_replicas
def mutual_information(
    z: ArrayLike,
    x: ArrayLike,
    *,
    method: Literal["infonce", "nwj", "smile", "knife", "ksg"] = "infonce",
    num_folds: int = 5,
    num_permutations: int = 1,
    num_neighbors: int = 3,
    epochs: int = 100,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    seed: int | None = None,
    verbose: int = 0,
) -> MutualInformation:
    """Estimate ``I(z; x)`` of continuous variables, in nats, from pairs.

    Every coordinate is first replaced by the normal score of its rank, a monotone map that does not
    change the information, so that tails and units have no effect. Networks are trained and
    evaluated on different examples (cross-fitting), and the estimate is repeated with `x` permuted.

    - ``"infonce"``: ``mean log exp s_ii / mean_j exp s_ij``, a lower bound in expectation, at most
      the logarithm of the number of examples compared: 1,024 or those of a fold (the `cap`).
    - ``"nwj"``: ``mean s_ii + 1 - mean exp s_ij``, a lower bound in expectation. Few pairs dominate
      its mean of exponentials once ``I`` is several nats. A ceiling for the scores is chosen on
      held-out pairs; it is at most the logarithm of the number of training pairs.
    - ``"smile"``: ``mean s_ii - log mean exp clip(s_ij, -5, 5)``: more stable, but no bound.
    - ``"knife"``: ``mean log p(z | x) - log p(z)`` for two learned mixtures of Gaussians. The
      errors of the two terms have opposite signs; good for smooth densities.
    - ``"ksg"``: distances to the `num_neighbors` nearest neighbours, without training. The best for
      one to three dimensions each; with many it misses most of the information.

    The first three share one critic, ``s(z, x) = f(z) . g(x) + a(z) + b(x)``. No method can show
    more than about ``log N`` nats with confidence from N pairs (McAllester & Stratos 2020); the
    result has a flag if the estimate is above that.

    With fewer than about 250 pairs, three trainings, each with a different third held out,
    determine the number of epochs. If none improves on the untrained network, the estimate is 0.
    This does not prove independence: the flag says how many nats would have been missed, about
    ``20 / N`` for N training pairs with one dimension each, and more with many.

    Cost: ``num_folds * (1 + num_permutations)`` trainings, four times as many for few pairs;
    ``"ksg"`` about N log N distances.

    Args:
        z, x: Real arrays ``[num_examples, ...]``, which are flattened. For class labels use
            `nuisance_information`, which knows their entropy exactly.
        method: See above.
        num_folds: Number of folds of the cross-fitting, at least 2.
        num_permutations: Number of runs of the null, at least 1.
        num_neighbors: Neighbours of ``"ksg"``; more give less variance and more bias.
        epochs: Largest number of passes over the training folds, each of at least 10 steps.
        batch_size, learning_rate: Options of the training.
        seed: Seed of folds, permutations and initial weights.
        verbose: 1 for a progress bar.

    Raises:
        TypeError, ValueError: Shapes are wrong, there are too few examples, values are not finite,
            a variable is constant, or an option is out of range.

    References:
        van den Oord, Li & Vinyals (2018), arXiv 1807.03748; Nguyen, Wainwright & Jordan (2010),
        arXiv 0809.0853; Song & Ermon (2020), arXiv 1910.06222 (SMILE); Pichler et al. (2022),
        arXiv 2202.06618 (KNIFE); Kraskov, Stögbauer & Grassberger (2004), equation 8; McAllester &
        Stratos (2020), arXiv 1811.04251; Czyż et al. (2023), arXiv 2306.11078, for comparisons.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        z = random.normal(size=(400, 1))
        x = z + random.normal(size=(400, 1))  # 1/2 log 2 = 0.35 nats
        found = kib.estimators.mutual_information(z, x, num_folds=2, epochs=20, seed=0)
        print(0.1 < found.nats < 0.6, abs(found.null) < 0.1)
        ```

        ```text
        True True
        ```
    """
    check_choice("method", method, KINDS)
    check_count("num_folds", num_folds, 2)
    check_count("num_permutations", num_permutations)
    check_count("num_neighbors", num_neighbors)
    check_count("epochs", epochs)
    check_count("batch_size", batch_size, 2, most=2**31 - 1)
    check_positive("learning_rate", learning_rate)
    seed = seed_or_fresh("seed", seed)
    check_verbose("verbose", verbose)
    z = check_numbers("z", z, "[num_examples, ...]", booleans=True)
    x = check_numbers("x", x, f"[{len(z)}, ...]", booleans=True)
    z, x = _normal_scores("z", z), _normal_scores("x", x)
    num_copies = num_repeated(z, x)
    smallest = max(10 * num_folds, num_neighbors + 2)
    if len(z) < smallest:
        raise ValueError(f"`z` must hold at least {smallest} examples. Received: {len(z)} examples")
    rng = np.random.default_rng(seed)
    cap, num_trained = float("inf"), 0
    runs = 1 + num_permutations
    if method == "ksg":
        progress = keras.utils.Progbar(runs, verbose=verbose)
        estimate = _by_neighbours(num_neighbors, rng, progress)
        cap = nearest_neighbour_cap(len(z), num_neighbors)
    else:
        progress = keras.utils.Progbar(num_folds * runs, verbose=verbose)
        folds = np.array_split(rng.permutation(len(z)), num_folds)
        num_trained = len(z) - max(map(len, folds))
        options: dict[str, Any] = {"learning_rate": learning_rate, "batch_size": batch_size}
        options |= {"epochs": epochs, "seed": int(rng.integers(2**30))}
        if method == "knife":
            z = _whitened(z)
        shapes = (z.shape[1:], x.shape[1:])
        judge = (
            MixtureDensities(shapes, **options)
            if method == "knife"
            else SeparableCritic(method, shapes, **options)
        )
        if method == "infonce":
            cap = SeparableCritic.cap(min(map(len, folds)))
        z, x = z.astype(np.float32), x.astype(np.float32)
        estimate = _cross_fitted(judge, folds, rng, progress)
    terms, train_nats = estimate(z, x)
    nulls = [estimate(z, x[rng.permutation(len(x))])[0].mean() for _ in range(num_permutations)]
    found = MutualInformation(
        nats=float(terms.mean()),
        standard_error=float(terms.std(ddof=1) / np.sqrt(len(z))),
        method=method,
        kind=KINDS[method],
        cap=cap,
        null=float(np.mean(nulls)),
        null_std=float(np.std(nulls, ddof=1)) if num_permutations > 1 else float("nan"),
        train_nats=train_nats,
        num_examples=len(z),
        seed=seed,
    )
    doubts = [*_doubts(found, z.shape[1] + x.shape[1], num_trained)]
    if num_copies > MANY_COPIES * len(z):
        doubts.append(f"{num_copies} of {len(z)} pairs repeat others, which counts as information.")
    return dataclasses.replace(found, flags=tuple(doubts))


# Maps z and x to the term of each pair, and the mean over training pairs (NaN without training).
TermsOfPairs = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]]


def _by_neighbours(
    num_neighbors: int, rng: np.random.Generator, progress: keras.utils.Progbar
) -> TermsOfPairs:
    """Function from pairs to their terms, by nearest neighbours, without training."""

    def estimate(z: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
        terms = nearest_neighbour_terms(z, x, num_neighbors, rng)
        progress.add(1)
        return terms, float("nan")

    return estimate


def _cross_fitted(
    judge: MixtureDensities | SeparableCritic,
    folds: list[np.ndarray],
    rng: np.random.Generator,
    progress: keras.utils.Progbar,
) -> TermsOfPairs:
    """Function from pairs to their held-out terms, and the mean of the terms of training pairs."""

    def estimate(z: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
        terms, trained = np.empty(len(z)), []
        for fold in folds:
            others = np.setdiff1d(np.arange(len(z)), fold)
            moved = others[judge.fit(z[others], x[others], rng)[0]]
            # As many as are held out, so that both have the same cap.
            seen = rng.permutation(moved)[: len(fold)]
            terms[fold] = judge.terms(z[fold], x[fold])
            trained.append(judge.terms(z[seen], x[seen]).mean())
            progress.add(1)
        return terms, float(np.mean(trained))

    return estimate


def _normal_scores(name: str, values: np.ndarray) -> np.ndarray:
    """Normal quantiles of each coordinate's ranks, ties averaged; constant coordinates dropped."""
    flat = values.reshape(len(values), -1)
    flat = flat[:, np.any(flat != flat[:1], axis=0)]
    if not flat.size:
        raise ValueError(f"`{name}` must vary. Received: {name}={described(values)}, all equal")
    scores = ndtri(rankdata(flat, axis=0) / (len(flat) + 1.0))
    return (scores - scores.mean(0)) / scores.std(0)


def _whitened(z: np.ndarray) -> np.ndarray:
    """Principal components scaled to unit variance; components without variance are dropped."""
    _, scale, directions = np.linalg.svd(z - z.mean(0), full_matrices=False)
    kept = scale > 1e-6 * scale[0]
    return z @ directions[kept].T / scale[kept] * np.sqrt(len(z))


def _doubts(found: MutualInformation, num_dimensions: int, num_trained: int) -> Iterator[str]:
    """Reasons to doubt an estimate, one sentence each.

    Args:
        found: The estimate.
        num_dimensions: Number of dimensions of `z` and `x` together.
        num_trained: Number of pairs on which each network was trained; 0 without networks.
    """
    if found.nats > found.cap - NEAR_CAP:
        yield f"Near its cap of {found.cap:.3g} nats: the information is at least this."
    spread = found.standard_error
    if np.isfinite(found.null_std):
        spread = float(np.hypot(spread, found.null_std))
    # Information is never below 0: an estimate above a negative null alone is not above chance.
    if found.nats <= max(found.null, 0.0) + 2.0 * spread:
        missed = max(FOUND_ERRORS * spread, FOUND_NATS / num_trained if num_trained else 0.0)
        yield (
            f"Not above the estimate for permuted pairs, {found.null:.2g} nats; "
            f"{found.num_examples} pairs cannot distinguish less than about {missed:.2g} nats from "
            "none (more in many dimensions)."
        )
    if abs(found.null) > max(FOUND_ERRORS * spread, 0.05):
        yield f"Permuted pairs give {found.null:.2g} nats, although their information is 0."
    if found.gap > max(LARGE_GAP, 0.25 * abs(found.nats)):
        yield f"Pairs trained on give {found.train_nats:.3g} nats: more examples would give more."
    if found.method != "ksg" and found.nats > np.log(found.num_examples) - NEAR_CAP:
        yield f"{found.num_examples} pairs cannot show more than about their logarithm in nats."
    if found.method == "nwj" and found.nats > 0.5 * np.log(found.num_examples):
        yield "Few pairs decide the mean of exponentials: its standard error is too small."
    if found.method == "ksg" and num_dimensions > MANY_DIMENSIONS:
        yield f"In {num_dimensions} dimensions neighbours are far: large estimates are too low."
