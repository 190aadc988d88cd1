"""Training of critics, networks that judge pairs: early stopping, always from the initial weights.

`fit` starts from the network's first weights, so that folds are independent.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

__all__ = ["PATIENT_STEPS_ON_PAIRS", "hidden_layers", "trainer", "trainer_on_pairs"]

# Share of the training examples that decides when to stop.
VALIDATION_SHARE = 0.15
# Epochs without an improvement after which training stops, and the steps that these are at least:
# a critic of few examples stays on a plateau before it finds what they share, longest where it
# compares the examples among themselves.
PATIENCE, PATIENT_STEPS, PATIENT_STEPS_ON_PAIRS = 8, 100, 200
# Of an epoch of few examples, where early stopping would otherwise come after a few dozen steps.
LEAST_STEPS = 10
# Examples held back at most where all of them are compared with each other.
MOST_VALIDATION = 2048

# A loss, of z, n, the rows of a batch, as many rows for unpairing, and the training mode.
Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, bool], tf.Tensor]
# Trains on z and n, with a source of random numbers; gives the rows trained on and those held back.
Fit = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def hidden_layers(inputs: list[keras.KerasTensor], seed: int) -> keras.KerasTensor:
    """Two hidden layers of 128 units on all inputs, flattened."""
    flat = [keras.layers.Flatten()(each) for each in inputs]
    hidden = keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    for layer in range(2):
        initializer = keras.initializers.GlorotUniform(seed=seed + layer)
        hidden = keras.layers.Dense(128, "silu", kernel_initializer=initializer)(hidden)
    return hidden


def trainer(
    model: keras.Model,
    loss: Loss,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    *,
    num_unpairings: int = 4,
    most_validation: int | None = None,
    least_steps: int = 1,
    patient_steps: int = PATIENT_STEPS,
) -> Fit:
    """Makes a function that trains the model on `(z, n)`, with early stopping on a part of them.

    Args:
        model: what is trained.
        loss: of `z`, `n`, the rows of a batch, as many rows for unpairing, and the training mode.
        learning_rate, batch_size, epochs: of the training.
        num_unpairings: of the same validation examples, for a steadier decision when to stop; 1
            for a loss that compares the examples of a batch among themselves.
        most_validation: examples that are held back at most.
        least_steps: of an epoch, which passes over few examples several times.
        patient_steps: without an improvement, at least, before training stops.
    """
    initial = model.get_weights()
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)
    clean = [variable.numpy() for variable in optimizer.variables]

    @tf.function(reduce_retracing=True)
    def epoch(z: tf.Tensor, n: tf.Tensor, batches: tf.Tensor, apart: tf.Tensor) -> None:
        for step in tf.range(tf.shape(batches)[0]):
            with tf.GradientTape() as tape:
                value = loss(z, n, batches[step], apart[step], True)
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(value, variables), variables)

    validation_loss = tf.function(
        lambda z, n, rows, apart: loss(z, n, rows, apart, False), reduce_retracing=True
    )

    def fit(
        z: np.ndarray, n: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Trains from the first weights. Returns the rows trained on, and those held back."""
        model.set_weights(initial)
        for variable, value in zip(optimizer.variables, clean, strict=True):
            variable.assign(value)
        held_back = int(len(z) * VALIDATION_SHARE)
        if most_validation is not None:
            held_back = min(held_back, most_validation)
        validation, training = np.split(rng.permutation(len(z)), [held_back])
        if not model.trainable_variables:
            return training, validation
        paired = np.tile(validation, num_unpairings)
        apart = np.concatenate([rng.permutation(validation) for _ in range(num_unpairings)])
        z, n = tf.constant(z), tf.constant(n)
        size = min(batch_size, len(training))
        per_pass = len(training) // size
        passes = -(-least_steps // per_pass)
        patience = max(PATIENCE, -(-patient_steps // (passes * per_pass)))

        def shuffled() -> np.ndarray:
            # Every pass is cut to whole batches, so that none holds an example twice.
            orders = [rng.permutation(training)[: per_pass * size] for _ in range(passes)]
            return np.concatenate(orders).reshape(-1, size)

        best, best_weights, waited = np.inf, model.get_weights(), 0
        for _ in range(epochs):
            epoch(z, n, shuffled(), shuffled())
            value = float(validation_loss(z, n, paired, apart))
            if value < best:
                best, best_weights, waited = value, model.get_weights(), 0
            else:
                waited += 1
                if waited == patience:
                    break
        model.set_weights(best_weights)
        return training, validation

    return fit


def trainer_on_pairs(
    model: keras.Model,
    loss: Loss,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    *,
    patient_steps: int = PATIENT_STEPS_ON_PAIRS,
) -> Fit:
    """A trainer for losses that compare the examples of a batch among themselves.

    Args:
        model, loss, learning_rate, batch_size, epochs, patient_steps: those of `trainer`.
    """
    return trainer(
        model,
        loss,
        learning_rate,
        batch_size,
        epochs,
        num_unpairings=1,
        most_validation=MOST_VALIDATION,
        least_steps=LEAST_STEPS,
        patient_steps=patient_steps,
    )
