"""`fisher_information`: checks its arguments, plans the measurement and runs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_model,
    check_verbose,
    seed_or_fresh,
)
from keras_infobottleneck.estimators.fisher.cost import (
    MemoryEstimate,
    check_dry_run,
    check_fits,
    fits,
    seconds_needed,
)
from keras_infobottleneck.estimators.fisher.information import (
    LABELS,
    STRUCTURES,
    FisherInformation,
)
from keras_infobottleneck.estimators.fisher.likelihoods import (
    Labels,
    find_likelihood,
)
from keras_infobottleneck.estimators.fisher.measurement import PASS_LIMIT, Measurement
from keras_infobottleneck.estimators.fisher.planning import try_one_example
from keras_infobottleneck.estimators.fisher.scores import ColumnSource
from keras_infobottleneck.introspection.contents import chosen_variables
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas

__all__ = ["STRUCTURES", "fisher_information"]

Structure = Literal["diagonal", "kronecker", "dense", "gram", "implicit"]


@on_replicas
def fisher_information(
    model: keras.Model,
    data: Any,
    *,
    structure: Structure = "diagonal",
    labels: Labels = "sampled",
    likelihood: str | Callable[[Any], Any] | None = None,
    num_samples: int = 1,
    variables: Sequence[keras.Variable] | None = None,
    batch_size: int | None = None,
    first_example: int = 0,
    max_side: int | None = None,
    memory_limit: int | None = None,
    pass_limit: int = PASS_LIMIT,
    dry_run: bool | Literal["timed"] = False,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
    verbose: int = 0,
) -> FisherInformation | MemoryEstimate:
    """Fisher information of a model's weights: `F = mean_x E_y [g g^T]`.

    `g = grad_w log p(y|x, w)` is the gradient for one example, never of a batch mean, so that the
    result does not depend on the batch size. The model runs in inference mode: batch normalisation
    uses its moving statistics and dropout is off.

    Structures, the form in which F is kept:

    - "diagonal": its diagonal, exact;
    - "kronecker": an approximation by one Kronecker product per kernel, scaled to the exact trace
      of each variable;
    - "dense": the whole matrix;
    - "gram": exact, represented by the scores themselves; for fewer examples times outputs than
      weights;
    - "implicit": exact products with vectors, without a stored matrix.

    Labels, over which the expectation is taken:

    - "sampled": `num_samples` draws per example from the model; unbiased;
    - "expected": the exact expectation, at one backward pass per output; recommended for few
      classes, and exact for the given inputs;
    - "empirical": the labels in `data`. This is a different quantity: it depends on the residuals,
      and vanishes with them.

    Cost: one pass over the data, without work on the host per batch. In units of one gradient pass:

    - a diagonal costs about one, and about one more backward pass per further column;
    - Kronecker factors of a convolution cost one diagonal more, for the exact trace;
    - layers that are linear in their kernel, biases, normalisations and embeddings have rules, and
      `register_rule` adds a rule for another layer. Weights without a rule cost one pass of the
      model per example.

    Args:
        model: Any Keras model.
        data: `(x, y)` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`. `x` alone is enough
            unless `labels="empirical"`. The first axis of every array is examples.
        structure: The form in which F is kept.
        labels: The labels over which the expectation is taken.
        likelihood: The distribution of the labels given the outputs: "categorical" (logits),
            "categorical_probabilities", "bernoulli" (logits), "bernoulli_probabilities", "normal"
            (unit variance), or a function from the model's outputs to a TFP distribution or a nest
            of independent ones. Labels in a dictionary need a dictionary of distributions with the
            same keys. By default it is read from the compiled loss. Positions of a sequence are
            independent and add up; those that the output's mask excludes from the loss do not
            count.
        num_samples: Number of draws per example for `labels="sampled"`.
        variables: Weights of the model; all trainable ones by default.
        batch_size: Examples per batch for arrays, 128 by default; a dataset has its own batches.
            For "diagonal", batches are split if the outputs of a layer would not fit in the cache.
        first_example: Number of the first example, if the data are a shard of a larger set. Draws
            depend on the number of an example, so that shards with the same seed add up to the
            result for the whole set. Shards that share draws are refused when they are added.
        max_side: For "kronecker": factors with more rows than this, such as that of a vocabulary,
            are reduced to their diagonal. By default as many factors are whole as fit in memory
            with their eigenvectors; `factors()` of the result shows which are not.
        memory_limit: Bytes beyond those of the model; the system's free memory by default. For
            "implicit" it also limits the vectors of Lanczos' method.
        pass_limit: Largest number of backward passes per batch with `labels="expected"`.
        dry_run: Whether to print and return only the estimate of memory and passes. "timed" adds
            an estimate of seconds, for which one batch is measured.
        seed: Seed of the drawn labels, which do not depend on the batch size (except for a
            distribution without a closed form here). None draws a fresh one, which the result
            contains. Results to be added need different seeds or `first_example`.
        strategy: Strategy on whose replicas it runs; by default that of the current scope.
        verbose: 1 for a Keras progress bar.

    Returns:
        A `FisherInformation`, or a `MemoryEstimate` for a dry run.

    Raises:
        ValueError, TypeError: An argument is invalid, or the result would need too much memory or
            too many passes; raised before any work.

    References:
        Martens, 2020, "New insights and perspectives on the natural gradient method",
        arXiv 1412.1193; Martens & Grosse, 2015, arXiv 1503.05671 and Grosse & Martens, 2016,
        arXiv 1602.01407 and Eschenhagen et al., 2023, arXiv 2311.00636, for the Kronecker forms;
        Kunstner, Balles & Hennig, 2019, arXiv 1905.12558, on the limits of "empirical".

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
        model.compile(loss="mse")
        x = np.ones((10, 4), "float32")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        print({path: row["trace"] for path, row in fisher.by_variable().items()})
        ```

        ```text
        {'sequential/head/kernel': 12.0, 'sequential/head/bias': 3.0}
        ```
    """
    check_model("model", model)
    check_choice("structure", structure, STRUCTURES)
    check_choice("labels", labels, LABELS)
    check_count("num_samples", num_samples, most=2**31 - 1)  # the limit of a TensorFlow loop
    check_count("max_side", max_side, optional=True)
    check_count("memory_limit", memory_limit, optional=True)
    check_count("pass_limit", pass_limit)
    check_dry_run(dry_run)
    seed = seed_or_fresh("seed", seed)
    check_verbose("verbose", verbose)
    if num_samples > 1 and labels != "sampled":
        raise ValueError(
            "`num_samples` is for labels='sampled'. "
            f"Received: num_samples={num_samples}, labels={labels!r}"
        )
    if max_side is not None and structure != "kronecker":
        raise ValueError(
            "`max_side` is for structure='kronecker'. "
            f"Received: max_side={max_side}, structure={structure!r}"
        )
    source = ColumnSource(find_likelihood(model, likelihood), labels, num_samples)
    batches = batches_for(
        model,
        data,
        batch_size,
        needs_labels=labels == "empirical",
        first_example=first_example,
    )
    chosen = chosen_variables(model, variables)
    trial = try_one_example(model, source, batches)
    kind = STRUCTURES[structure]
    measurement = Measurement(
        model,
        chosen,
        source,
        batches,
        num_columns=trial.num_columns,
        num_positions=max(trial.positions.get(id(v), 1) for v in chosen),
        position_bytes=[trial.position_bytes.get(id(v), 0) for v in chosen],
        max_side=max_side,
        memory_limit=memory_limit,
        pass_limit=pass_limit,
        gradient_bytes=max(trial.gradient_bytes.get(id(v), 0) for v in chosen),
        parameter_bytes=trial.parameter_bytes,
        num_rows=trial.rows_in_cache(chosen) if kind.splits_batches else None,
        verbose=verbose,
    )
    plan = check_fits(kind, measurement, quiet=bool(dry_run))
    if dry_run == "timed" and fits(plan, measurement):
        plan = dataclasses.replace(plan, seconds=seconds_needed(kind, measurement))
    if dry_run:
        print(plan)
        return plan
    if kind.splits_batches:
        batches.split(measurement.num_rows)
    measurement.draw_labels_by(seed)
    return kind.measured(measurement)
