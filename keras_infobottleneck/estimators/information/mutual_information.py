"""Mutual information of two sets of variables, by five methods that fail in different ways."""

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
    check_seed,
    check_verbose,
    described,
)
from keras_infobottleneck.estimators.information.mixture_densities import MixtureDensities
from keras_infobottleneck.estimators.information.nearest_neighbours import (
    nearest_neighbour_cap,
    nearest_neighbour_terms,
)
from keras_infobottleneck.estimators.information.repeated_pairs import num_repeated
from keras_infobottleneck.estimators.information.separable_critic import SeparableCritic
from keras_infobottleneck.results.result import Result

__all__ = ["MutualInformation", "mutual_information"]

KINDS = {
    "infonce": "lower bound in expectation, capped",
    "nwj": "lower bound in expectation, of a variance that grows like exp(I)",
    "smile": "no bound: biased by clipping",
    "knife": "no bound: a difference of two upper bounds on entropies",
    "ksg": "no bound: consistent, low in many dimensions",
}
# Nats under its cap at which an estimate is taken for "at least", and the gap that is remarked on.
NEAR_CAP = 0.5
LARGE_GAP = 0.1
# Nats times the number of training pairs below which a critic finds nothing, measured on Gaussians
# in one dimension each; and standard errors from 0 at which information is told from none.
FOUND_NATS, FOUND_ERRORS = 20.0, 3.0
# Dimensions of the pair above which neighbours are no longer near.
MANY_DIMENSIONS = 10
# Share of pairs that repeat others above which a flag is raised.
MANY_COPIES = 0.01


@dataclasses.dataclass(frozen=True, repr=False)
class MutualInformation(Result):
    """Mutual information in nats, with its null, its cap and the reasons to doubt it.

    Attributes:
        nats: the estimate, on examples that trained nothing.
        standard_error: over examples; the error of the trained network is not in it, nor, with
            ``"ksg"``, that neighbours are shared.
        method: the method.
        kind: whether it is a bound, and of which side.
        cap: the most that the method can give for so many examples; infinite where there is none.
        null: the same estimate with the examples of `x` permuted (truth: 0).
        null_std: standard deviation over permutations; NaN for a single one.
        train_nats: on the examples that trained the network; NaN with ``"ksg"``, which trains none.
        num_examples: pairs.
        seed: from which the estimate comes again.
        flags: what speaks against the number, a sentence each; empty where nothing was found.

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
    """Estimate ``I(z; x)`` of continuous variables, nats, from pairs.

    Every coordinate is first replaced by the normal score of its rank, which is monotone and
    changes no information; so tails and units do not matter. Networks are trained and judged on
    different examples (cross-fitting), and everything is done again with `x` permuted.

    - ``"infonce"``: ``mean log exp s_ii / mean_j exp s_ij``, a lower bound in expectation, at most
      the logarithm of the examples compared, 1,024 or those of a fold (the `cap`).
    - ``"nwj"``: ``mean s_ii + 1 - mean exp s_ij``, a lower bound in expectation; its mean of
      exponentials is dominated by few pairs once ``I`` is several nats. Pairs that are held back
      choose a ceiling for the scores, at most the logarithm of the pairs trained on.
    - ``"smile"``: ``mean s_ii - log mean exp clip(s_ij, -5, 5)``: steadier, and no bound.
    - ``"knife"``: ``mean log p(z | x) - log p(z)`` of two learned mixtures of Gaussians. Each
      term's error has its own sign; good where densities are smooth.
    - ``"ksg"``: distances to the `num_neighbors` nearest neighbours, no training. The best in one
      to three dimensions each; in many it misses most of the information.

    The first three share one critic, ``s(z, x) = f(z) . g(x) + a(z) + b(x)``. No method can show,
    from N pairs, more than about ``log N`` nats with confidence (McAllester & Stratos 2020); the
    result says where it is above.

    With fewer than about 250 pairs, three trainings, each with another third of them held back, say
    how many epochs are best. Where none improves on the untrained network the estimate is 0. That
    is no proof of independence: the flag says how many nats would have been missed, about
    ``20 / N`` for N training pairs in one dimension each, and more in many.

    Cost: ``num_folds * (1 + num_permutations)`` trainings, four times as many of few pairs;
    ``"ksg"`` some N log N distances.

    Args:
        z, x: real arrays ``[num_examples, ...]``, flattened. For class labels use
            `nuisance_information`, which is exact about their entropy.
        method: see above.
        num_folds: folds of the cross-fitting, at least 2.
        num_permutations: runs of the null, at least 1.
        num_neighbors: of ``"ksg"``; more are steadier and more biased.
        epochs: largest number of passes over the training folds; each is 10 steps at least.
        batch_size, learning_rate: of the training.
        seed: of folds, permutations and first weights.
        verbose: 1 for a progress bar.

    Raises:
        TypeError, ValueError: arrays of other shapes or too few examples, values that are not
            finite, variables that do not vary, options out of range.

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
    check_seed("seed", seed)
    check_verbose("verbose", verbose)
    z = check_numbers("z", z, "[num_examples, ...]", booleans=True)
    x = check_numbers("x", x, f"[{len(z)}, ...]", booleans=True)
    z, x = _normal_scores("z", z), _normal_scores("x", x)
    num_copies = num_repeated(z, x)
    smallest = max(10 * num_folds, num_neighbors + 2)
    if len(z) < smallest:
        raise ValueError(f"`z` must hold at least {smallest} examples. Received: {len(z)} examples")
    seed = int(np.random.default_rng(seed).integers(2**31)) if seed is None else int(seed)
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


# From z and x to the term of each pair, and the mean of those trained on; NaN without training.
TermsOfPairs = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]]


def _by_neighbours(
    num_neighbors: int, rng: np.random.Generator, progress: keras.utils.Progbar
) -> TermsOfPairs:
    """Function from pairs to their terms, by nearest neighbours; nothing is trained."""

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
            # As many as are held out, so that caps are alike.
            seen = rng.permutation(moved)[: len(fold)]
            terms[fold] = judge.terms(z[fold], x[fold])
            trained.append(judge.terms(z[seen], x[seen]).mean())
            progress.add(1)
        return terms, float(np.mean(trained))

    return estimate


def _normal_scores(name: str, values: np.ndarray) -> np.ndarray:
    """Normal quantiles of each coordinate's ranks, ties averaged; constant coordinates left out."""
    flat = values.reshape(len(values), -1)
    flat = flat[:, np.any(flat != flat[:1], axis=0)]
    if not flat.size:
        raise ValueError(f"`{name}` must vary. Received: {name}={described(values)}, all alike")
    scores = ndtri(rankdata(flat, axis=0) / (len(flat) + 1.0))
    return (scores - scores.mean(0)) / scores.std(0)


def _whitened(z: np.ndarray) -> np.ndarray:
    """Principal components scaled to unit variance; components without variance are left out."""
    _, scale, directions = np.linalg.svd(z - z.mean(0), full_matrices=False)
    kept = scale > 1e-6 * scale[0]
    return z @ directions[kept].T / scale[kept] * np.sqrt(len(z))


def _doubts(found: MutualInformation, num_dimensions: int, num_trained: int) -> Iterator[str]:
    """Warnings about an estimate, one sentence each.

    Args:
        found: the estimate.
        num_dimensions: of `z` and `x` together.
        num_trained: pairs that each network was trained on; 0 without networks.
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
            f"Not above what permuted pairs give, {found.null:.2g} nats; {found.num_examples} "
            f"pairs cannot tell less than about {missed:.2g} nats from none (more in many "
            "dimensions)."
        )
    if abs(found.null) > max(FOUND_ERRORS * spread, 0.05):
        yield f"Permuted pairs give {found.null:.2g} nats where the truth is 0."
    if found.gap > max(LARGE_GAP, 0.25 * abs(found.nats)):
        yield f"Pairs trained on give {found.train_nats:.3g} nats: more examples would give more."
    if found.method != "ksg" and found.nats > np.log(found.num_examples) - NEAR_CAP:
        yield f"{found.num_examples} pairs cannot show more than about their logarithm in nats."
    if found.method == "nwj" and found.nats > 0.5 * np.log(found.num_examples):
        yield "Few pairs decide the mean of exponentials: its standard error is too small."
    if found.method == "ksg" and num_dimensions > MANY_DIMENSIONS:
        yield f"In {num_dimensions} dimensions neighbours are far: too low where there is much."
