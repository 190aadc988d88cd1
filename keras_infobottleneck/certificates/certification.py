"""`certify`: from a network and examples to a bound on its error on new data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_count,
    check_flag,
    check_probability,
    check_verbose,
    seed_or_fresh,
)
from keras_infobottleneck.certificates.certificate import Certificate
from keras_infobottleneck.certificates.conditions import (
    CheckedBatches,
    certified_layers,
    check_outputs,
    ends_in_logits,
    two_examples,
)
from keras_infobottleneck.certificates.trials import (
    IndependentDraws,
    Trials,
    by_reference,
    gibbs_errors,
)
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.models.anchoring.anchoring import Anchoring
from keras_infobottleneck.pac_bayes import pac_bayes_bound

__all__ = ["certify"]

# Default numbers of draws for every example: many if a draw costs a prediction, fewer if weights
# are drawn for each example. Ten times as many tighten the bound of 30,000 images by 0.1 points.
MANY_DRAWS, FEW_DRAWS = 100, 10


@on_replicas
def certify(
    model: keras.Model,
    data: Any,
    *,
    delta: float = 0.025,
    num_samples: int | None = None,
    delta_monte_carlo: float = 0.01,
    examples_per_draw: int = 1,
    min_probability: float = 1e-4,
    from_logits: bool | None = None,
    allow_repeats: bool = False,
    batch_size: int | None = None,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
    verbose: int = 0,
) -> Certificate:
    """Bounds the error on new data of a network whose weights are drawn from their posterior.

    The bound, with ``kl(r, c)`` the largest s for which ``kl(r || s) <= c``:

        kl(kl(error, log(1 / delta_monte_carlo) / trials), (KL + log(2 sqrt(N) / delta)) / N)

    The outer one is `pac_bayes_bound`. The inner one is `monte_carlo_bound`, which accounts for
    estimating the error from draws.

    What the bound says:

    - It fails with probability at most ``delta + delta_monte_carlo``, over the examples and the
      draws, if the examples are independent draws from the distribution of new data.
    - It holds for the network that draws its weights anew for each prediction, not for the network
      with mean weights.
    - The same bound is computed for the cross-entropy, clamped at ``-log min_probability``.

    What it requires:

    - A prior that is fixed without the examples: by `anchor_prior` on other examples, by a
      `prior_scale` that is a number, or by ``"grid"``, whose price covers the union over its
      scales. With the last two, no examples need to be held out.
    - Every weight comes from the posterior, or is unchanged since `anchor_prior`: the divergence
      would not include what any other weight learned from the data.
      ``make_variational(..., variational_bias=True)`` leaves none out; freeze normalisation before
      anchoring.
      anchoring.

    With an anchored prior, three more bounds are computed from the same examples, each with the
    same confidence by itself:

    - `test_set_bound` of the network with the prior's means, which does not depend on the examples;
    - the error by the excess over that network, `excess_loss_bound`;
    - the error by a bound on networks drawn from the prior, `recursive_bound`.

    The trials of the Monte Carlo estimate are independent. Their cost is:

    - one prediction for each of `num_samples` passes, with separate noise for every example, if all
      variational layers are dense with ``estimator="local"``, receive one vector per example, and
      are used once;
    - one draw of the weights for every `examples_per_draw` examples for all other layers. A trial
      is then such a group.

    Args:
        model: An `InformationBottleneckModel` with Gaussian posteriors whose prior is fixed: by
            `anchor_prior` on other examples, or by a `prior_scale` that was chosen without the data
            or is priced, ``"grid"``.
        data: ``(x, y)`` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`; classes or
            one-hot rows; 0 or 1 for a network of one output. They may have been used to train the
            posterior, but not the prior, nor to choose anything on which the prior depends.
        delta: Probability with which the PAC-Bayes bound may fail. The confidence is
            ``1 - delta - delta_monte_carlo``: 96.5 % by default, 95 % with ``delta=0.04``.
        num_samples: Number of draws for every example; by default 100 if each costs a prediction,
            and 10 if weights must be drawn.
        delta_monte_carlo: Probability with which the Monte Carlo bound may fail.
        examples_per_draw: Number of examples that share drawn weights, if weights must be drawn.
        min_probability: Floor of the probability in the clamped cross-entropy.
        from_logits: Whether the network's outputs are logits; by default as in the compiled loss.
        allow_repeats: Whether equal examples are independent draws that happen to agree, as in
            data with few distinct values. Otherwise copies are refused.
        batch_size: Batch size, for arrays.
        seed: Seed of the noise, an integer of up to 64 bits.
        strategy: Strategy on whose replicas it runs; by default that of the current scope.
        verbose: 1 shows a progress bar.

    Returns:
        A `Certificate`.

    Raises:
        TypeError: The model or the data have another type.
        ValueError: A condition of the bound does not hold, or an argument is out of range.

    References:
        Perez-Ortiz, Rivasplata, Shawe-Taylor & Szepesvari (2021), "Tighter risk certificates for
        neural networks", arXiv 2007.12911. Langford & Caruana (2001). Kingma, Salimans & Welling
        (2015), arXiv 1506.02557.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        x = np.random.default_rng(0).normal(size=(300, 4)).astype("float32")
        y = (x[:, 0] > 0).astype(int)
        prior = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        prior.compile(keras.optimizers.Adam(0.1), loss)
        prior.fit(x[:100], y[:100], epochs=5, verbose=0)
        model = kib.make_variational(prior, num_examples=200, variational_bias=True, verbose=0)
        model.anchor_prior((x[:100], y[:100]))  # all that the prior has seen
        model.compile("adam", kib.models.BoundedCrossentropy(from_logits=True))
        certificate = kib.estimators.certify(model, (x[100:], y[100:]), seed=0)
        print(certificate.num_examples, certificate.kl, certificate.error_bound < 0.5)
        ```

        ```text
        200 0.0 True
        ```
    """
    check_probability("delta", delta)
    check_probability("delta_monte_carlo", delta_monte_carlo)
    if delta + delta_monte_carlo >= 1:
        raise ValueError(
            "`delta` and `delta_monte_carlo` must leave some confidence, their sum under 1. "
            f"Received: delta={delta}, delta_monte_carlo={delta_monte_carlo}"
        )
    # At most what a TensorFlow loop can count.
    check_count("num_samples", num_samples, most=2**31 - 1, optional=True)
    check_count("examples_per_draw", examples_per_draw)
    check_probability("min_probability", min_probability)  # an unbounded loss has no bound
    check_flag("allow_repeats", allow_repeats)
    check_flag("from_logits", from_logits, optional=True)
    check_count("batch_size", batch_size, optional=True)
    check_verbose("verbose", verbose)
    seed = seed_or_fresh("seed", seed, 2**64 - 1)
    anchoring = Anchoring(model)
    layers = certified_layers(model, anchoring)
    from_logits = ends_in_logits(model, from_logits)
    batches = batches_for(model, data, batch_size)
    x = two_examples(batches)
    num_classes = check_outputs(model.network, x, from_logits, anchoring.pricing_weights)
    anchors = anchoring.fingerprints

    def make(
        reference: Callable[[], keras.Model],
    ) -> tuple[IndependentDraws, int, CompiledSum]:
        def network() -> keras.Model:
            return reference().network

        layers = Anchoring(reference()).noisy_layers
        draws = IndependentDraws(network(), layers, x, examples_per_draw)
        count = num_samples or (FEW_DRAWS if draws.shared else MANY_DRAWS)
        total = gibbs_errors(
            network,
            draws,
            num_samples=count,
            from_logits=from_logits,
            min_probability=min_probability,
            anchored=layers if len(anchors) else (),
        )
        return draws, count, total

    key = ("certify", num_samples, examples_per_draw, from_logits, min_probability)
    draws, num_samples, total = compiled(model, key, make)
    checked = CheckedBatches(batches, num_classes, anchors, allow_repeats)
    sums = total.over(checked, _stateless_seed(seed), verbose=verbose)
    sums = {name: float(value) for name, value in sums.items()}
    if not np.isfinite(sums["cross_entropy"]):
        raise ValueError(
            "Predictions must be finite; look for NaN in the data or the weights. "
            f"Received: a cross-entropy of {sums['cross_entropy']}"
        )
    if not from_logits and sums["outside"]:
        raise ValueError(
            "The outputs must be probabilities if `from_logits` is False. Received: "
            f"{sums['outside']:.0f} of {batches.num_examples} examples with one below 0 or above 1"
        )

    num_examples: Any = batches.num_examples  # known after the pass
    trials = Trials(
        sums,
        num_examples=num_examples,
        num_samples=num_samples,
        group_size=draws.group_size,
        delta=delta_monte_carlo,
    )
    # In float64, for the accuracy of small divergences.
    kl = sum(float(layer.kl_divergence("float64")) for layer in layers)
    worst = float(-np.log(min_probability))

    def bound(name: str) -> float:
        return pac_bayes_bound(trials.upper(name), kl, num_examples, delta)

    return Certificate(
        error_bound=bound("errors"),
        cross_entropy_bound=worst * bound("cross_entropy"),
        randomized_error=trials.mean("errors"),
        randomized_cross_entropy=worst * trials.mean("cross_entropy"),
        mean_error=sums["mean_errors"] / num_examples,
        ensemble_error=sums["ensemble_errors"] / num_examples,
        kl=kl,
        num_examples=num_examples,
        delta=delta,
        delta_monte_carlo=delta_monte_carlo,
        num_samples=num_samples,
        num_trials=trials.num_trials,
        method=_method(draws),
        min_probability=min_probability,
        num_anchoring_examples=len(anchors),
        seed=seed,
        **(by_reference(trials, kl, delta) if len(anchors) else {}),
    )


def _stateless_seed(seed: int) -> tf.Tensor:
    """All 64 bits of a seed as two 32-bit integers, the lower first."""
    return tf.constant(np.array([seed], "<u8").view("<i4"), tf.int32)


def _method(draws: IndependentDraws) -> str:
    """How the trials were drawn, in words."""
    local = ", ".join(layer.name for layer in draws.local)
    if not draws.shared:
        return f"noise of its own for every example on the pre-activations of {local}"
    shared = ", ".join(layer.name for layer in draws.shared)
    group = "example" if draws.group_size == 1 else f"{draws.group_size} examples"
    method = f"weights of {shared} drawn anew for every {group}"
    return (
        f"{method}; noise for every example on the pre-activations of {local}" if local else method
    )
