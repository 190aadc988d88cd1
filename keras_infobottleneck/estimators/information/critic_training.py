"""Training of critics, networks that score pairs, with early stopping.

`fit` always starts from the network's initial weights, so that folds are independent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.information.critic_steps import CriticSteps

__all__ = ["PATIENT_STEPS_ON_PAIRS", "trainer", "trainer_on_pairs"]

# Share of the training examples on which early stopping is decided.
VALIDATION_SHARE = 0.15
# Training stops after this many epochs without an improvement, which are at least this many steps:
# with few examples a critic stays on a plateau before it finds dependence, for longest if it
# compares the examples with each other.
PATIENCE, PATIENT_STEPS, PATIENT_STEPS_ON_PAIRS = 8, 100, 200
# Smallest number of steps per epoch; with few examples, training could otherwise stop too early.
LEAST_STEPS = 10
# Largest number of validation examples, if all are compared with each other, and the smallest: with
# fewer, stopping would depend on chance. Then each of this number of parts is held back in turn.
MOST_VALIDATION, LEAST_VALIDATION, NUM_PARTS = 2048, 30, 3

# Trains on z and n with a random generator; returns the rows trained on and those held back.
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
    """Makes a function that trains a critic on `(z, n)`, with early stopping on part of them.

    Args:
        steps: The critic's network and compiled steps.
        learning_rate, batch_size, epochs: Options of the training.
        num_unpairings: Number of unpairings of the validation examples, for a steadier decision
            when to stop; 1 for a loss that compares the examples of a batch with each other.
        most_validation: Largest number of examples held back.
        least_validation: If fewer would be held back, three trainings on two thirds of the
            examples find the best number of epochs, by the loss of the other third, and a last
            training on all examples has that number of epochs.
        least_steps: Smallest number of steps of an epoch, which repeats few examples.
        patient_steps: Smallest number of steps without an improvement before training stops.
    """
    model = steps.model
    initial = model.get_weights()

    def schedule(num_rows: int) -> tuple[int, int, int]:
        """Batch size, batches per pass, and passes per epoch for this many rows."""
        size = min(batch_size, num_rows)
        per_pass = num_rows // size
        return size, per_pass, -(-least_steps // per_pass)

    def batches(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size, per_pass, passes = schedule(len(rows))
        # Each pass is cut to whole batches, so that no batch has an example twice.
        orders = [rng.permutation(rows)[: per_pass * size] for _ in range(passes)]
        return np.concatenate(orders).reshape(-1, size)

    def held_back_losses(
        z: tf.Tensor,
        n: tf.Tensor,
        training: np.ndarray,
        validation: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[list[float], list[np.ndarray]]:
        """Losses before the first and after each epoch, and the weights at the smallest loss."""
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
    """Number of epochs after which the mean loss of several trainings is smallest.

    It is 0 if the gain is within a standard error over the trainings. A training that has
    stopped keeps its last loss.

    Args:
        losses: For each training, the loss before the first epoch and after each.
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
    """A trainer for losses that compare the examples of a batch with each other.

    Args:
        steps, learning_rate, batch_size, epochs, patient_steps: As in `trainer`.
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
