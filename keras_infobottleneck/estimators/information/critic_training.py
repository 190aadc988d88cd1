"""Training of critics, networks that judge pairs: early stopping, always from the initial weights.

`fit` starts from the network's first weights, so that folds are independent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.information.critic_steps import CriticSteps

__all__ = ["PATIENT_STEPS_ON_PAIRS", "trainer", "trainer_on_pairs"]

# Share of the training examples that decides when to stop.
VALIDATION_SHARE = 0.15
# Epochs without an improvement after which training stops, and the steps that these are at least:
# a critic of few examples stays on a plateau before it finds what they share, longest where it
# compares the examples among themselves.
PATIENCE, PATIENT_STEPS, PATIENT_STEPS_ON_PAIRS = 8, 100, 200
# Of an epoch of few examples, where early stopping would otherwise come after a few dozen steps.
LEAST_STEPS = 10
# Most examples that are held back where all of them are compared with each other, and fewest: with
# fewer, chance decides when to stop. Then all are held back in turn, in this number of parts.
MOST_VALIDATION, LEAST_VALIDATION, NUM_PARTS = 2048, 30, 3

# Trains on z and n, with a source of random numbers; gives the rows trained on and those held back.
Fit = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def trainer(
    steps: CriticSteps,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    *,
    num_unpairings: int = 4,
    most_validation: int | None = None,
    least_validation: int = 0,
    least_steps: int = 1,
    patient_steps: int = PATIENT_STEPS,
) -> Fit:
    """Makes a function that trains a critic on `(z, n)`, with early stopping on a part of them.

    Args:
        steps: the critic's network and compiled steps.
        learning_rate, batch_size, epochs: of the training.
        num_unpairings: of the same validation examples, for a steadier decision when to stop; 1
            for a loss that compares the examples of a batch among themselves.
        most_validation: examples that are held back at most.
        least_validation: where fewer would be held back, three trainings on two thirds of the
            examples say how many epochs are best, by the loss of the other third, and a last
            training on all examples has that number of epochs.
        least_steps: of an epoch, which passes over few examples several times.
        patient_steps: without an improvement, at least, before training stops.
    """
    model = steps.model
    initial = model.get_weights()

    def schedule(num_rows: int) -> tuple[int, int, int]:
        """Rows of a batch, batches of a pass, and passes of an epoch over so many rows."""
        size = min(batch_size, num_rows)
        per_pass = num_rows // size
        return size, per_pass, -(-least_steps // per_pass)

    def batches(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size, per_pass, passes = schedule(len(rows))
        # Every pass is cut to whole batches, so that none holds an example twice.
        orders = [rng.permutation(rows)[: per_pass * size] for _ in range(passes)]
        return np.concatenate(orders).reshape(-1, size)

    def held_back_losses(
        z: tf.Tensor,
        n: tf.Tensor,
        training: np.ndarray,
        validation: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[list[float], list[np.ndarray]]:
        """Losses before the first and after each epoch, and the weights of the least of them."""
        steps.restart(initial, learning_rate)
        paired = np.tile(validation, num_unpairings)
        apart = np.concatenate([rng.permutation(validation) for _ in range(num_unpairings)])
        _, per_pass, passes = schedule(len(training))
        patience = max(PATIENCE, -(-patient_steps // (passes * per_pass)))
        # Weights that have not moved are the best where nothing improves on them.
        values = [float(np.nan_to_num(steps.validation_loss(z, n, paired, apart), nan=np.inf))]
        best, best_weights = 0, initial
        while len(values) <= epochs and len(values) - 1 - best < patience:
            steps.epoch(z, n, batches(training, rng), batches(training, rng))
            values.append(float(steps.validation_loss(z, n, paired, apart)))
            if values[-1] < values[best]:
                best, best_weights = len(values) - 1, model.get_weights()
        return values, best_weights

    def fit(
        z: np.ndarray, n: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Trains from the first weights. Returns the rows trained on, and those held back."""
        steps.restart(initial, learning_rate)
        held_back = int(len(z) * VALIDATION_SHARE)
        if most_validation is not None:
            held_back = min(held_back, most_validation)
        order = rng.permutation(len(z))
        validation, training = np.split(order, [held_back])
        if not model.trainable_variables:
            return training, validation
        z, n = tf.constant(z), tf.constant(n)
        if held_back >= least_validation:
            model.set_weights(held_back_losses(z, n, training, validation, rng)[1])
            return training, validation
        parts = np.array_split(order, NUM_PARTS)
        losses = [held_back_losses(z, n, np.setdiff1d(order, p), p, rng)[0] for p in parts]
        steps.restart(initial, learning_rate)
        for _ in range(_best_epoch(losses)):
            steps.epoch(z, n, batches(order, rng), batches(order, rng))
        return order, order[:0]

    return fit


def _best_epoch(losses: list[list[float]]) -> int:
    """Number of epochs after which the mean loss of several trainings is least.

    It is 0 where the gain is within a standard error over the trainings. A training that has
    stopped keeps its last loss.

    Args:
        losses: of each training, the loss before the first epoch and after each.
    """
    longest = max(map(len, losses))
    table = np.array([each + each[-1:] * (longest - len(each)) for each in losses])
    table = np.where(np.isfinite(table), table, np.finfo(np.float32).max)
    best = int(np.argmin(table.sum(0)))
    gains = table[:, 0] - table[:, best]
    return best if gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)) else 0


def trainer_on_pairs(
    steps: CriticSteps,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    *,
    patient_steps: int = PATIENT_STEPS_ON_PAIRS,
) -> Fit:
    """A trainer for losses that compare the examples of a batch among themselves.

    Args:
        steps, learning_rate, batch_size, epochs, patient_steps: those of `trainer`.
    """
    return trainer(
        steps,
        learning_rate,
        batch_size,
        epochs,
        num_unpairings=1,
        most_validation=MOST_VALIDATION,
        least_validation=LEAST_VALIDATION,
        least_steps=LEAST_STEPS,
        patient_steps=patient_steps,
    )
