"""`sweep_beta`: arguments, and the one training along all prices."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_count,
    check_file,
    check_flag,
    check_instance,
    check_numbers,
    check_positive,
    check_verbose,
    refusal,
    seed_or_fresh,
)
from keras_infobottleneck.callbacks import BetaSchedule, Checkpoint
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.shuffled_epochs import shuffled_epochs
from keras_infobottleneck.introspection.compiled_losses import only_loss
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.models import InformationBottleneckModel
from keras_infobottleneck.sweeping.beta_sweep import BetaSweep
from keras_infobottleneck.sweeping.labels import class_frequencies, entropy, loss_in_nats
from keras_infobottleneck.sweeping.stages import KEPT, VALIDATION_ERROR, Plan, Stages, num_weights
from keras_infobottleneck.sweeping.validation import Validation

__all__ = ["sweep_beta"]

SETTINGS = "sweep_beta"  # key in the history of the checkpoint
LARGEST_SEED = 2**32 - 1  # limit of NumPy's global generator
DEFAULT_BATCH_SIZE = 32  # default of `keras.Model.fit`


def sweep_beta(
    build: Callable[[], InformationBottleneckModel],
    data: Any,
    betas: Sequence[float],
    *,
    validation_data: Any = None,
    epochs: int = 20,
    first_epochs: int | None = None,
    warm_up: int | None = None,
    batch_size: int | None = None,
    warm_start: bool = True,
    prune_below: float = 0.5,
    path: str | os.PathLike | None = None,
    seed: int | None = None,
    verbose: int = 0,
) -> BetaSweep:
    """Trains one network along a grid of prices, and records loss, accuracy and nats at each.

    All prices are stages of one training, so that the network is traced once. At each price the
    training continues from the weights of the price before, its optimizer is reset, and the price
    rises linearly over the first `warm_up` epochs. The sweep costs
    `first_epochs + (len(betas) - 1) * epochs` epochs, and one pass over the data before them. With
    `path` there is another pass over all data, to identify them, and with validation data two
    passes over these for each price, one of them for the standard error.

    With `path` the sweep is saved to a file after every epoch. If it is killed and called again
    with the same arguments, it resumes and ends with the same result, provided that the order of
    the data depends only on the epoch: arrays are shuffled in this way; a data set must give the
    same order in every epoch. Once the sweep is finished, another call reads the result.

    Keras' global seed is set (`keras.utils.set_random_seed`), so that `build` gives the same start.

    Args:
        build: A function without arguments that returns a compiled `InformationBottleneckModel`
            with `VariationalWeights` in it; it is called once.
        data: Training data: `(x, y)` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`.
        betas: Prices, `weight_beta`, positive and increasing, at least two.
        validation_data: Data of the same kinds, measured at the end of every price.
        epochs: Number of epochs at each price.
        first_epochs: Number of epochs at the first price, where the network starts untrained; by
            default the same as at the others.
        warm_up: Number of epochs in which the price rises, by default half of `epochs`.
        batch_size: Batch size, for arrays only; 32 by default.
        warm_start: Whether the weights continue from the price before; if not, every price starts
            with the weights from `build`.
        prune_below: Signal-to-noise ratio, `|mean| / standard deviation`, from which a weight
            counts as kept.
        path: File for the state of the sweep, in an existing folder.
        seed: Seed of weights, noise and the order of the data; None draws a new one, which the
            result contains.
        verbose: 1 prints a line at the end of every price, 2 also Keras' line for every epoch.

    Returns:
        A `BetaSweep`.

    Raises:
        TypeError: An argument has another type, or `build` returns something else.
        ValueError: Values cannot be used, the model is not compiled or has no weights with a
            posterior, or the file is that of another sweep.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        y = (x[:, 0] > 0).astype("int32")


        def build():
            network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
            model = kib.make_variational(network, num_examples=64, verbose=0)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("adam", loss, metrics=["accuracy"])
            return model


        sweep = kib.sweep_beta(build, (x, y), [0.01, 0.1, 1.0], epochs=4, seed=0)
        print(f"{len(sweep.nats)} prices; {sweep.label_nats:.1f} nats in the labels")
        ```

        ```text
        3 prices; 44.2 nats in the labels
        ```
    """
    if isinstance(build, keras.Model) or not callable(build):
        raise refusal(TypeError, "build", "be a function that returns a compiled model", build)
    prices = check_numbers("betas", betas, "[prices]", 0, open_below=True, increasing=True)
    if len(prices) < 2:
        raise refusal(ValueError, "betas", "be two or more prices", betas)
    check_count("epochs", epochs)
    first = check_count("first_epochs", epochs if first_epochs is None else first_epochs, epochs)
    warm_up = epochs // 2 if warm_up is None else check_count("warm_up", warm_up, 0, epochs - 1)
    check_count("batch_size", batch_size, optional=True)
    check_flag("warm_start", warm_start)
    check_positive("prune_below", prune_below)
    check_file("path", path, optional=True)
    seed = seed_or_fresh("seed", seed, LARGEST_SEED)
    check_verbose("verbose", verbose)
    keras.utils.set_random_seed(seed)
    model = _checked_model(build())
    batches = batches_for(model, data, batch_size, default_batch_size=DEFAULT_BATCH_SIZE)
    loss = only_loss(model)
    frequencies = class_frequencies(loss, batches)
    plan = Plan([float(price) for price in prices], int(first), int(epochs), int(warm_up))
    options: dict[str, Any] = {"warm_start": bool(warm_start), "prune_below": float(prune_below)}
    validation = Validation(model, validation_data)
    stages = Stages(model, plan, **options, validation=validation, verbose=bool(verbose))
    callbacks = [stages, BetaSchedule(model.weight_beta, plan.price)]
    start, history = 0, {}
    if path is not None:
        checkpoint = Checkpoint(os.fspath(path))
        of_data = [batches.count(), batches.size, *(() if frequencies is None else frequencies)]
        of_plan = [*plan.betas, plan.first_epochs, plan.epochs, plan.warm_up]
        sums = [batches.checksum(), validation.checksum()]
        settings = [*of_plan, *options.values(), seed, *of_data, *sums]
        start = _restored(checkpoint, model, settings)
        callbacks.append(checkpoint)
        history = checkpoint.history
    if start < plan.num_epochs:
        with warnings.catch_warnings():
            # A sweep may well include a price at which nothing is left.
            warnings.filterwarnings("ignore", message="The price collapsed")
            found = model.fit(
                **_training_data(data, batches, seed, start, plan),
                validation_data=validation.for_keras(),
                validation_freq=plan.ends,
                initial_epoch=start,
                epochs=plan.num_epochs,
                shuffle=False,
                verbose=2 if verbose == 2 else 0,
                callbacks=callbacks,
            )
        history = history or found.history
    guessing = None if frequencies is None else entropy(frequencies)
    return BetaSweep(
        beta=prices,
        **_columns(history, plan),
        label_nats=None if guessing is None else guessing * model.num_examples,
        guessing_loss=guessing if loss_in_nats(loss) else None,
        num_examples=model.num_examples,
        num_weights=num_weights(model),
        epochs=plan.epochs,
        prune_below=options["prune_below"],
        seed=seed,
    )


def _checked_model(model: Any) -> InformationBottleneckModel:
    """The model returned by `build`, after checks."""
    expected = "a function that returns a compiled InformationBottleneckModel"
    check_instance("build()", model, InformationBottleneckModel, expected)
    if not model.compiled or model.optimizer is None:
        raise refusal(ValueError, "build()", "be compiled with an optimizer and a loss", model)
    if not model.variational_layers:
        expected = "hold layers whose weights have a posterior, VariationalWeights"
        raise refusal(ValueError, "build()", expected, model)
    return model


def _restored(checkpoint: Checkpoint, model: keras.Model, settings: list) -> int:
    """The epoch to continue with, after restoring the model from the file; 0 without a file.

    Raises:
        ValueError: The file is that of another sweep, or of something else.
    """
    settings = [float(value) for value in settings]
    start = checkpoint.restore(model)
    if start and checkpoint.history.get(SETTINGS) != settings:
        raise ValueError(
            "`path` must be a file of the same sweep, with the same prices, epochs, data and "
            f"seed, or not exist. Received: path={checkpoint.filepath!r}, of another sweep"
        )
    checkpoint.history[SETTINGS] = settings
    return start


def _training_data(
    data: Any, batches: Batches, seed: int, start: int, plan: Plan
) -> dict[str, Any]:
    """Training data for `fit`: arrays in an order given by the epoch, a data set unchanged."""
    if batches.is_dataset:
        return {"x": data}
    arrays, size = batches.first_batch(), batches.size
    epochs = shuffled_epochs(arrays, size, seed, start, plan.num_epochs)
    return {"x": epochs, "steps_per_epoch": batches.num_batches}


def _columns(history: dict[str, list], plan: Plan) -> dict[str, Any]:
    """Points of the sweep, from the logs of all epochs."""
    losses = np.asarray(history["task_loss"], np.float64)
    # The epochs at the full price; for the first stage as many as for the others.
    settled = [losses[end - plan.epochs + plan.warm_up : end] for end in plan.ends]
    accuracy = next((name for name in history if name.endswith(("accuracy", "acc"))), "accuracy")

    def last(name: str) -> np.ndarray | None:
        if name not in history:
            return None
        return np.array([history[name][end - 1] for end in plan.ends], np.float64)

    def measured(name: str) -> np.ndarray | None:
        found = history.get(name, [])  # shorter if another version began the sweep
        return np.array(found, np.float64) if len(found) == len(plan.ends) else None

    return {
        "task_loss": last("task_loss"),
        "task_loss_spread": np.array([part.std(ddof=min(1, len(part) - 1)) for part in settled]),
        "nats": last("weight_information"),
        "kept_weights": measured(KEPT),
        "accuracy": last(accuracy),
        "validation_task_loss": measured("val_task_loss"),
        "validation_accuracy": measured(f"val_{accuracy}"),
        "validation_task_loss_standard_error": measured(VALIDATION_ERROR),
    }
