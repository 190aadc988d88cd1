"""`forget`: a step to where training without some examples would have ended, plus noise."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_choice,
    check_keywords,
    check_positive,
    check_price,
    check_verbose,
    seed_or_fresh,
)
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.fisher.mean_gradient import mean_gradient
from keras_infobottleneck.estimators.information.minimum import variables_of
from keras_infobottleneck.forgetting.before_and_after import Performance
from keras_infobottleneck.forgetting.membership import membership_attack
from keras_infobottleneck.forgetting.outcome import Forgetting
from keras_infobottleneck.forgetting.scrubbed_copy import ScrubbedCopy, check_forgettable
from keras_infobottleneck.introspection.contents import chosen_variables
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas

__all__ = ["forget"]

STRUCTURES = ("diagonal", "kronecker", "dense", "gram")


@on_replicas
def forget(
    model: keras.Model,
    forget: Any,
    retain: Any,
    *,
    price: float,
    unseen: Any = None,
    structure: str = "diagonal",
    shift: float = 1e-3,
    weight_decay: float = 0.0,
    tolerance: float = 0.1,
    likelihood: Any = None,
    batch_size: int | None = None,
    seed: int | None = None,
    verbose: int = 0,
    **fisher_options: Any,
) -> tuple[keras.Model, Forgetting]:
    """Removes information about some training examples from a network, and measures what remains.

    With F the Fisher matrix of the retained examples and g the gradient of their mean loss, the
    weights become

        w - (F + shift I)^-1 g + price^(1/4) (F + shift I)^(-1/4) n,    n standard normal:

    a Newton step to where training on the rest would have ended, and noise that is large along
    directions that hardly affect the loss. Statistics of batch normalisation are recomputed on the
    retained examples, and the optimizer is reset, because both contain traces of the others.

    If d is the distance of the weights from those of a network that never saw the examples, the
    two distributions of scrubbed weights differ by
    `1/2 d^T (F + shift I)^(1/2) d / price^(1/2)` nats. No observer of the weights can learn more
    than this about whether the examples were there. Here d is the Newton step by the gradient after
    the first step: exact if the loss is quadratic in the weights with F its Hessian, otherwise an
    estimate, which is neither a bound nor a proof of deletion.

    Args:
        model: A sequential or functional model, at a minimum of the loss of all its examples; it is
            not changed.
        forget: `(x, y)` to be forgotten: arrays, a `tf.data.Dataset` or a `PyDataset`.
        retain: `(x, y)`, the rest of the training set, in the same form.
        price: Price of the noise; a higher one leaves less to be read and raises the loss, by about
            `price^(1/2) tr(F^(1/2)) / 2`.
        unseen: `(x, y)` that the network never saw, similar to those to be forgotten, for a
            membership attack by losses; None for no attack.
        structure: Structure of the Fisher matrix: "diagonal", "kronecker", "dense" or "gram".
        shift: Shift added to the Fisher matrix, in its unit; it shortens steps along directions
            with less curvature than this. May be 0 only with `weight_decay`.
        weight_decay: Coefficient of an objective `mean loss + weight_decay / 2 |w|^2` over all
            trained weights, with the loss of an example in nats, minus the log-probability of its
            labels. Keras takes a mean over K outputs: its `L2(c)` is a weight decay of `2 c` with a
            cross-entropy of classes, `K c` with a mean squared error, and `2 K c` with a binary
            cross-entropy of K labels.
        tolerance: Nats per example. The network is refused if a Newton step would lower its mean
            loss on all examples by more, or if the step raises the loss of the retained examples by
            more.
        likelihood, batch_size, verbose, fisher_options: As in `fisher_information`.
        seed: Seed of the noise, and of the labels drawn for the Fisher matrix.

    Returns:
        The network, a copy compiled with the same loss, and a `Forgetting`. Cost: the Fisher
        matrix, three passes with gradients and some without.

    Raises:
        TypeError: The model is not sequential or functional.
        ValueError: An argument cannot be used, the network is not at a minimum, or its loss is so
            far from quadratic that the step fails; the message has the numbers.

    References:
        Golatkar, Achille & Soatto, 2020, "Eternal sunshine of the spotless net", arXiv 1911.04933,
        equations 8 and 9 and proposition 1.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        x = random.normal(size=(40, 2)).astype("float32")
        y = x.sum(1, keepdims=True)
        y[:5] += 2.0
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1), loss="mse")
        model.fit(x, y, epochs=20, verbose=0)
        options = {"price": 1e-6, "structure": "dense", "labels": "expected"}
        network, result = kib.forget(model, (x[:5], y[:5]), (x[5:], y[5:]), **options)
        print(result.nats < 0.01 * result.nats_before)
        ```

        ```text
        True
        ```
    """
    _check_options(fisher_options)
    check_forgettable(model)
    price = check_positive("price", price)
    check_choice("structure", structure, STRUCTURES)
    shift = check_price("shift", shift) + check_price("weight_decay", weight_decay)
    if shift == 0.0:
        raise ValueError("`shift` must be above zero without `weight_decay`. Received: shift=0")
    tolerance = check_positive("tolerance", tolerance)
    check_verbose("verbose", verbose)
    seed = seed_or_fresh("seed", seed)
    found = find_likelihood(model, likelihood)
    data = {"forget": forget, "retain": retain}
    if unseen is not None:
        data["unseen"] = unseen
    read = {name: batches_for(model, part, batch_size, name=name) for name, part in data.items()}
    variables = chosen_variables(model, fisher_options.get("variables"))
    fisher: Any = fisher_information(
        model,
        retain,
        structure=structure,  # type: ignore[arg-type]
        **{"seed": seed, "likelihood": likelihood, "batch_size": batch_size},
        **{"verbose": verbose, **fisher_options},
    )
    variables_of(model, fisher)  # refuses scales of noise
    weights = fisher.layout.join([v.numpy() for v in variables]).astype(np.float64)
    kept = mean_gradient(model, variables, found, read["retain"])
    lost = mean_gradient(model, variables, found, read["forget"])
    counts = {name: part.count() for name, part in read.items()}
    share = counts["forget"] / (counts["forget"] + counts["retain"])
    descent = _descent(fisher, shift, (1 - share) * kept + share * lost + weight_decay * weights)
    if descent > tolerance:
        raise ValueError(
            "`model` must be at a minimum of the loss of all examples: train it further, or use a "
            f"larger `shift`. Received: shift={shift:.3g}, a mean loss that a Newton step "
            f"would lower by {descent:.3g} nats, above tolerance={tolerance:.3g}"
        )
    before = Performance.of(model, found, read)
    step = _solved(fisher, shift, kept + weight_decay * weights)
    copy = ScrubbedCopy(model, variables, retain, batch_size)
    copy.move_to(weights - step, fisher.layout)
    moved = Performance.of(copy.network, found, {"retain": read["retain"]})
    rise = float(moved.losses["retain"].mean() - before.losses["retain"].mean())
    if rise > tolerance:
        expected = _descent(fisher, shift, kept + weight_decay * weights)
        raise ValueError(
            "`shift` must be so large that the step stays where the loss is quadratic; "
            'use a larger one, or `structure="kronecker"` with `labels="expected"`. '
            f"Received: shift={shift:.3g}, a step of length "
            f"{np.linalg.norm(step):.3g} that should have lowered the loss of the retained "
            f"examples by {expected:.3g} nats and raised it by {rise:.3g}"
        )
    rest = mean_gradient(copy.network, copy.variables, found, read["retain"])
    left = _solved(fisher, shift, rest + weight_decay * (weights - step))
    noise = np.random.default_rng(seed).standard_normal([1, fisher.size])
    noise = price**0.25 * fisher.power_product(noise, -0.25, shift)[0]
    copy.move_to(weights - step + noise, fisher.layout)
    after = Performance.of(copy.network, found, read)
    result = Forgetting(
        nats=_readable(fisher, shift, price, left),
        nats_before=_readable(fisher, shift, price, step),
        **_compared(before, after),
        descent=descent,
        step_norm=float(np.linalg.norm(step)),
        noise_norm=float(np.linalg.norm(noise)),
        price=price,
        shift=shift,
        structure=structure,
        num_forgotten=counts["forget"],
        num_retained=counts["retain"],
        seed=seed,
    )
    if result.nats > result.nats_before:
        warnings.warn(
            "More can be read from the weights after the step than with the noise alone: "
            f"{result.nats:.3g} nats instead of {result.nats_before:.3g}. The structure "
            f"{structure!r} does not describe this network well enough; try another, or train "
            "it to a minimum.",
            stacklevel=2,
        )
    return copy.network, result


def _check_options(options: dict[str, Any]) -> None:
    """Refuses, on behalf of `forget`, options that are unknown to `fisher_information`."""
    # Inside `forget` this name is that of an argument.
    check_keywords(forget, fisher_information, options)


def _solved(fisher: FisherInformation, shift: float, gradient: np.ndarray) -> np.ndarray:
    """Solution `v` of the linear system `(F + shift I) v = gradient`."""
    return fisher.power_product(gradient[None], -1.0, shift)[0]


def _descent(fisher: FisherInformation, shift: float, gradient: np.ndarray) -> float:
    """Decrease of a quadratic loss in a Newton step, half the squared Newton decrement."""
    return float(gradient @ _solved(fisher, shift, gradient)) / 2


def _readable(fisher: FisherInformation, shift: float, price: float, step: np.ndarray) -> float:
    """KL divergence in nats between two noise distributions whose means differ by `step`."""
    scaled = fisher.power_product(step[None], 0.25, shift)[0]
    return float(scaled @ scaled) / (2 * price**0.5)


def _compared(before: Performance, after: Performance) -> dict[str, Any]:
    """The fields of `Forgetting` that exist twice, with `_before` and without."""
    fields: dict[str, Any] = {}
    for ending, found in (("_before", before), ("", after)):
        for name, part in (("forgotten", "forget"), ("retained", "retain")):
            fields[f"{name}_loss{ending}"] = float(found.losses[part].mean())
            fields[f"{name}_accuracy{ending}"] = found.accuracies[part]
        fields[f"attack{ending}"] = None
        if "unseen" in found.losses:
            attack = membership_attack(found.losses["forget"], found.losses["unseen"])
            fields[f"attack{ending}"] = attack
    return fields
