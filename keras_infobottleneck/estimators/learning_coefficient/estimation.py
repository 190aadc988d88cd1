"""`local_learning_coefficient`: its arguments are checked, and Markov chains are run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_instance,
    check_model,
    check_number,
    refusal,
    seed_or_fresh,
)
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.information.minimum import (
    LARGEST,
    SMALLEST,
    Minimum,
    variables_of,
)
from keras_infobottleneck.estimators.learning_coefficient.learning_coefficient import (
    LearningCoefficient,
    coefficient_of,
)
from keras_infobottleneck.estimators.learning_coefficient.running_chains import Chains, Problem
from keras_infobottleneck.estimators.learning_coefficient.tempered_posterior import in_memory
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas

__all__ = ["local_learning_coefficient"]

SAMPLERS = ("auto", "hamiltonian", "langevin")
# Up to this number of examples a Metropolis test on all of them is cheap.
MOST_TESTED = 2_000
DEFAULT_BATCHES = {"hamiltonian": 1_024, "langevin": 128}
# The slope of the information is measured between the price divided and multiplied by this factor.
SLOPE_FACTOR = 1.1


@on_replicas
def local_learning_coefficient(
    model: keras.Model,
    data: Any,
    *,
    num_chains: int = 4,
    num_draws: int = 1_000,
    num_steps: int = 8,
    num_warmup: int | None = None,
    beta: float | None = None,
    localization: float = 1.0,
    step_size: float | Literal["auto"] = "auto",
    sampler: Literal["auto", "hamiltonian", "langevin"] = "auto",
    fisher: FisherInformation | None = None,
    likelihood: str | Callable[[Any], Any] | None = None,
    variables: Sequence[keras.Variable] | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
) -> LearningCoefficient:
    """Local learning coefficient of a model's weights: how singular the minimum is.

    The volume of weights around w* whose mean loss is within epsilon of that at w* shrinks like
    `epsilon^lambda`. Lambda is k/2 for a regular model of k weights, and smaller if weights, or
    functions of them, do not matter. It is also the number of nats by which the information in the
    weights grows for each unit of `log(1 / beta)`, where beta is the price of a nat relative to the
    mean loss. The estimate is the mean, over draws of the tempered posterior, of

        lambda = (L(w) - L(w*)) / beta,    w ~ exp(-L(w) / beta - localization / 2 |w - w*|^2),

    with L the mean negative log-likelihood of all data, and `beta = log(N) / N` by default.

    There are two samplers. "hamiltonian" passes over all data at every step, and every trajectory
    passes a Metropolis test: exact up to the finite length of the chains. "langevin" uses a
    minibatch at each step and subtracts its loss and gradient at w*: the gradient is unbiased, and
    the discretisation error falls with the square of the step. Both scale their steps by the
    diagonal Fisher matrix. The estimate is consistent for lambda as beta falls: at a given price a
    remainder is left, of the order of a power of beta, or of `1 / log(1 / beta)` if a singularity
    has a multiplicity, and a localization that is strong relative to the curvature lowers the
    estimate.

    Cost: `num_chains * (num_warmup + num_draws) * num_steps` gradients, of all data or of a
    minibatch, one Fisher matrix unless it is given, and the data in memory. Everything runs in one
    compiled loop. Chains are computed together if the model's operations allow it.

    Args:
        model: Any Keras model with its weights at or near a minimum; it is not changed.
        data: `(x, y)` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`.
        num_chains: Number of chains, at least 2, all of which start at the model's weights.
        num_draws: Number of draws of a chain after warmup, at least 4.
        num_steps: Number of gradient steps per draw.
        num_warmup: Number of draws discarded at the start, by default half of `num_draws`.
        beta: Price of a nat relative to the mean loss, `1 / (n beta)` of the literature; by default
            `log(N) / N`.
        localization: Inverse variance of a Gaussian factor around the weights, in the units of
            weights. If too strong, it hides directions in which the loss is flat; if too weak, the
            chains can leave for another minimum.
        step_size: Largest step, in units of the scale of each weight by the Fisher matrix; "auto"
            fits it to the acceptance of a Metropolis test.
        sampler: "hamiltonian", "langevin", or "auto" for the first up to 2,000 examples.
        fisher: `FisherInformation` of the model, for the scales of the steps and the slope of the
            information; by default a diagonal with sampled labels.
        likelihood, variables: As in `fisher_information`.
        batch_size: Batch size for arrays: 1,024 for "hamiltonian", where it only affects memory,
            and 128 for "langevin".
        seed: Seed of the chains and of the sampled labels.

    Returns:
        A `LearningCoefficient` with standard error, diagnostics and traces; its `flags` are
        sentences that say why it may be unreliable.

    Raises:
        ValueError, TypeError: An argument cannot be used; the message says why.

    References:
        Lau et al., 2023, "The local learning coefficient", arXiv 2308.12108.
        Watanabe, 2013, "A widely applicable Bayesian information criterion", for the temperature.
        Leimkuhler & Matthews, 2013, "Rational construction of stochastic numerical methods";
        Baker et al., 2019, "Control variates for stochastic gradient MCMC", arXiv 1706.05439.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        # Two layers of one unit each: only the product of the weights matters.
        dense = {"use_bias": False, "kernel_initializer": "ones"}
        model = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1, **dense), keras.layers.Dense(1, **dense)]
        )
        model.compile(loss="mse")
        x = np.ones((64, 1), "float32")
        found = kib.estimators.local_learning_coefficient(
            model, (x, x), beta=1e-3, num_draws=400, seed=0
        )
        print(f"{found.num_weights} weights, {float(found.coefficient):.1f} of at most 1.0")
        ```

        ```text
        2 weights, 0.5 of at most 1.0
        ```
    """
    check_model("model", model)
    check_count("num_chains", num_chains, 2)
    check_count("num_draws", num_draws, 4)
    check_count("num_steps", num_steps)
    num_warmup = check_count("num_warmup", num_warmup, 0, optional=True)
    beta = check_number("beta", beta, SMALLEST, LARGEST, optional=True)
    localization = check_number("localization", localization, SMALLEST, LARGEST)
    if not isinstance(step_size, str):
        step_size = check_number("step_size", step_size, SMALLEST, LARGEST)
    elif step_size != "auto":
        raise refusal(ValueError, "step_size", "be a positive number or 'auto'", step_size)
    check_choice("sampler", sampler, SAMPLERS)
    check_instance(
        "fisher", fisher, FisherInformation, "a FisherInformation of the model", optional=True
    )
    seed = seed_or_fresh("seed", seed)
    found = find_likelihood(model, likelihood)
    matrix: Any = fisher
    if fisher is None:
        matrix = fisher_information(
            model,
            data,
            variables=variables,
            seed=seed,
            likelihood=likelihood,
            batch_size=batch_size,
        )
    elif variables is not None:
        raise ValueError(
            "`variables` cannot be given together with `fisher`, which has its own. "
            f"Received: {len(variables)} variables beside a Fisher matrix"
        )
    weights = variables_of(model, matrix)
    minimum = Minimum.of(model, matrix)

    batches = batches_for(
        model, data, batch_size, default_batch_size=DEFAULT_BATCHES["hamiltonian"]
    )
    num_examples = batches.count()
    if sampler == "auto":
        sampler = "hamiltonian" if num_examples <= MOST_TESTED else "langevin"
    if sampler == "langevin" and batch_size is None and not batches.is_dataset:
        batches.split(DEFAULT_BATCHES["langevin"])
    if beta is None:
        beta = max(math.log(num_examples), 1.0) / num_examples
    problem = Problem(
        in_memory(batches),
        num_examples,
        [tf.convert_to_tensor(v.value) for v in weights],
        _scales(matrix, beta, localization, weights),
        beta,
        localization,
    )
    adapts = step_size == "auto"
    chains = Chains(model, found, weights, num_chains, num_steps, batches.size)
    run = getattr(chains, sampler)(
        problem,
        seed,
        matrix.size**-0.25 if adapts else step_size,
        adapts,
        num_draws // 2 if num_warmup is None else num_warmup,
        num_draws,
    )
    if not math.isfinite(run.loss):
        raise ValueError(
            "The mean loss at the weights must be finite; look for NaN in the data, labels outside "
            f"the classes or overflow in the model. Received: a mean loss of {run.loss}"
        )
    traces = run.excess.T / beta
    scale = localization**-0.5
    nats = [minimum.code(beta * by, scale).nats.sum() for by in (1 / SLOPE_FACTOR, SLOPE_FACTOR)]
    return LearningCoefficient(
        **coefficient_of(traces),
        loss=run.loss,
        excess_loss=float(np.mean(run.excess)),
        beta=beta,
        localization=localization,
        step_size=run.step_size,
        acceptance=run.acceptance,
        information_slope=float(nats[0] - nats[1]) / (2 * math.log(SLOPE_FACTOR)),
        num_weights=matrix.size,
        num_examples=num_examples,
        sampler=sampler,
        seed=seed,
    )


def _scales(
    fisher: FisherInformation, beta: float, localization: float, weights: Sequence[keras.Variable]
) -> list[tf.Tensor]:
    """Standard deviation of each weight in the tempered posterior, by the diagonal Fisher matrix.

    The mean of the diagonal is added to it, because a weight without curvature at the minimum often
    has some away from it.
    """
    diagonal = fisher.diagonal()
    mean = float(fisher.trace()) / fisher.size
    return [
        tf.constant(((d.astype(np.float64) + mean) / beta + localization) ** -0.5, v.dtype)
        for d, v in zip(diagonal, weights, strict=True)
    ]
