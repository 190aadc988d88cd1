"""Restricted Boltzmann machine, trained by `fit` with contrastive divergence."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_count,
    check_flag,
    check_keywords,
    check_numbers,
    seed_or_fresh,
)
from keras_infobottleneck.models.boltzmann import log_partition, shares
from keras_infobottleneck.models.boltzmann.bernoulli import bernoulli
from keras_infobottleneck.models.boltzmann.free_energy import free_energy, mean_free_energy
from keras_infobottleneck.models.boltzmann.visible_units import (
    hidden_probabilities,
    log_odds,
    training_data,
)
from keras_infobottleneck.models.network_holder import shows_arguments_of
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["RestrictedBoltzmannMachine"]

# Largest smaller side whose states are enumerated; takes a second with a thousand other units.
MAX_ENUMERATED = 20


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class RestrictedBoltzmannMachine(keras.Model):
    """Restricted Boltzmann machine of binary units, `E(v, h) = -v W h - v b - h c`.

    Call `compile(optimizer)`, then `fit(x)`: each step follows the gradient of the mean of
    `F(data) - F(samples)`, where `F(v) = -v b - sum_j softplus(v W + c)_j` is the free energy
    (nats, up to log Z). The samples come from `num_steps` Gibbs steps, which start at the data
    (CD-k, a biased estimate of the likelihood's gradient) or continue from step to step
    (`persistent`, a better estimate).

    Logs in training and validation: `reconstruction_error` (mean squared difference of `v` and
    `p(v | p(h | v))`; in training of a tenth of each batch) and `free_energy` of the data. In
    training also `contrast`, the mean of `F(data) - F(samples)`; in validation
    `val_free_energy_gap`, the free energy of the validation data minus that of the epoch's training
    data, which grows with overfitting.

    Training starts with visible biases at the log-odds of the data (for a dataset, of its first
    batch), unless they were set before (Hinton, 2012, section 8).

    The number of draws and the chains are weights, so that a saved and reloaded machine continues
    as one that was not interrupted. Replicas of a strategy share each batch and the chains, and
    together take the same steps as one device.

    Args:
        units: Number of hidden units.
        num_steps: Number of Gibbs steps per training step, the k of CD-k.
        persistent: Whether the chains continue from step to step.
        num_chains: Number of chains, if persistent.
        seed: Integer below 2^31; if None, a random one that the configuration keeps.

    Raises:
        ValueError: A number is not a positive integer; or, in `fit`, inputs are not
            `[batch, visible]` or have values outside [0, 1]. All values of an array are checked,
            and the first batch of a dataset, which is read once more for this.

    References:
        Hinton (2002), Neural Computation 14(8); Tieleman (2008), ICML; Hinton (2012), A practical
        guide to training restricted Boltzmann machines, for biases and the free-energy gap.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        x = (np.random.default_rng(0).random((40, 6)) < 0.5).astype("float32")
        machine = kib.models.RestrictedBoltzmannMachine(units=4, seed=0)
        machine.compile("sgd")
        machine.fit(x, batch_size=20, epochs=1, verbose=0)
        ```
    """

    def __init__(
        self,
        units: int,
        *,
        num_steps: int = 1,
        persistent: bool = False,
        num_chains: int = 100,
        seed: int | None = None,
        **kwargs: Any,
    ):
        seed = seed_or_fresh("seed", seed, 2**31 - 1)
        sizes = {"units": units, "num_steps": num_steps, "num_chains": num_chains}
        # The limit is that of TensorFlow's int32.
        checked = [check_count(name, value, most=2**31 - 1) for name, value in sizes.items()]
        persistent = check_flag("persistent", persistent)
        super().__init__(**kwargs)
        self.units, self.num_steps, self.num_chains = checked
        self.persistent, self.seed = persistent, seed
        self._reconstruction_error = keras.metrics.Mean(name="reconstruction_error")
        self._free_energy = keras.metrics.Mean(name="free_energy")
        self._contrast = keras.metrics.Mean(name="contrast")
        self._free_energy_gap = keras.metrics.Mean(name="free_energy_gap")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights, the counter of draws and the chains."""
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(
                f"Inputs must be [batch, visible]. Received: input_shape={tuple(input_shape)}"
            )
        visible = input_shape[-1]
        small = keras.initializers.RandomNormal(stddev=0.01, seed=self.seed)
        self.kernel = self.add_weight(shape=[visible, self.units], initializer=small, name="kernel")
        zeros = {"initializer": "zeros"}
        self.visible_bias = self.add_weight(shape=[visible], name="visible_bias", **zeros)
        self.hidden_bias = self.add_weight(shape=[self.units], name="hidden_bias", **zeros)
        # Equal on every replica; the value of the first one is stored.
        kept = {**zeros, "trainable": False, "aggregation": "only_first_replica"}
        self.num_draws = self.add_weight(shape=[], dtype="int64", name="num_draws", **kept)
        self.training_free_energy = self.add_weight(shape=[], name="training_free_energy", **kept)
        if self.persistent:
            shape = [self.num_chains, self.units]
            self.chains = self.add_weight(shape=shape, name="chains", **kept)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Probabilities of the hidden units, `[batch, units]`."""
        return tf.sigmoid(self._hidden_input(tf.cast(inputs, self.compute_dtype)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the hidden probabilities."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict:
        """Arguments of the constructor."""
        return super().get_config() | {
            "units": self.units,
            "num_steps": self.num_steps,
            "persistent": self.persistent,
            "num_chains": self.num_chains,
            "seed": self.seed,
        }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Logged values, reset at the start of an epoch."""
        logged = (self._reconstruction_error, self._free_energy, self._contrast)
        return [*logged, self._free_energy_gap]

    def free_energy(self, visible: Any) -> tf.Tensor:
        """Free energy of each example, `[batch]`, nats."""
        if not tf.is_symbolic_tensor(visible):
            visible = check_numbers("visible", visible, self._shape_of_visible, 0, 1, booleans=True)
        visible = tf.cast(visible, self.variable_dtype)
        return free_energy(visible, self._hidden_input(visible), self.visible_bias)

    @property
    def _shape_of_visible(self) -> str:
        return f"[num_examples, {self.visible_bias.shape[0] if self.built else 'visible'}]"

    @shows_arguments_of(keras.Model.fit)
    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains as `keras.Model.fit`; values must lie in [0, 1]."""
        if kwargs.get("sample_weight") is not None or kwargs.get("class_weight") is not None:
            raise ValueError(
                "`fit` accepts no weights of examples: each example counts once in the likelihood. "
                "Received: sample_weight or class_weight"
            )
        x, visible = training_data(self, x)
        if not self.num_draws.numpy() and not np.any(self.visible_bias.numpy()):
            # From zero biases, sparse data would first be fitted by one state with all units on.
            self.visible_bias.assign(log_odds(visible))
        return super().fit(x, *args, **kwargs)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Makes one step of contrastive divergence."""
        visible = self._visible_batch(data)
        batch = shares.of_batch(visible)
        chains = shares.of_chains(self.num_chains) if self.persistent else batch
        hidden_input = self._hidden_input(visible)
        hidden = tf.sigmoid(hidden_input)
        if self.persistent:
            samples = self.chains[chains.first : chains.first + chains.rows]
        else:
            samples = self._bernoulli(hidden, 0, batch.first)
        # The reconstruction of a few examples is computed together with the chains: another product
        # for the whole batch would cost a seventh of the step.
        few = hidden[: tf.maximum(tf.maximum(batch.total // 10, 1) - batch.first, 0)]
        for step in range(self.num_steps):
            probability = self._visible_probability(tf.concat([few, samples], axis=0))
            if step == 0:
                reconstruction = probability[: tf.shape(few)[0]]
            probability = probability[tf.shape(few)[0] :]
            sampled = self._bernoulli(probability, 2 * step + 1, chains.first)
            sampled_input = self._hidden_input(sampled)
            sampled_hidden = tf.sigmoid(sampled_input)
            if self.persistent or step < self.num_steps - 1:
                samples = self._bernoulli(sampled_hidden, 2 * step + 2, chains.first)
        if self.persistent:
            self.chains.assign(shares.gathered(samples))
        self.num_draws.assign_add(1)
        # The part of the means over all replicas that this one contributes; Keras adds gradients.
        sizes = [tf.cast(share.total, visible.dtype) for share in (batch, chains)]
        visible_mean, sampled_mean = (
            tf.reduce_sum(v, axis=0) / size
            for v, size in zip((visible, sampled), sizes, strict=True)
        )
        bias = self.visible_bias
        energy = mean_free_energy(visible_mean, hidden_input, bias, sizes[0])
        contrast = energy - mean_free_energy(sampled_mean, sampled_input, bias, sizes[1])
        # Both phases in one product over the joined batches.
        joined_visible = tf.concat([visible, sampled], axis=0)
        joined_hidden = tf.concat([-hidden / sizes[0], sampled_hidden / sizes[1]], axis=0)
        gradients = [
            tf.matmul(joined_visible, joined_hidden, transpose_a=True),
            sampled_mean - visible_mean,
            tf.reduce_sum(joined_hidden, axis=0),
        ]
        self.optimizer.apply(gradients, [self.kernel, self.visible_bias, self.hidden_bias])

        self._reconstruction_error.update_state((visible[: tf.shape(few)[0]] - reconstruction) ** 2)
        energy, contrast = shares.summed([energy, contrast])
        rows = tf.cast(batch.rows, energy.dtype)
        self._free_energy.update_state(energy, sample_weight=rows)
        self._contrast.update_state(contrast)
        self.training_free_energy.assign(shares.mean_so_far(self._free_energy))
        return {metric.name: shares.mean_so_far(metric) for metric in self.metrics[:3]}

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measures a batch without drawing."""
        visible = self._visible_batch(data)
        hidden_input = self._hidden_input(visible)
        energy = free_energy(visible, hidden_input, self.visible_bias)
        reconstruction = self._visible_probability(tf.sigmoid(hidden_input))
        self._reconstruction_error.update_state((visible - reconstruction) ** 2)
        self._free_energy.update_state(energy)
        self._free_energy_gap.update_state(energy - self.training_free_energy)
        logged = (self._reconstruction_error, self._free_energy, self._free_energy_gap)
        return {metric.name: shares.mean_so_far(metric) for metric in logged}

    def log_partition(
        self, *, num_chains: int = 100, num_temperatures: int = 1000, seed: int = 0
    ) -> Estimate:
        """`log Z` in nats, so that `-free_energy(v) - log Z` is the log-probability of `v`.

        Exact (standard error 0) if one side has at most 20 units. Otherwise by annealed importance
        sampling from the machine without its kernel, with the error over the chains. This error
        does not include modes that no chain found, without which `log Z` is too low.

        Args:
            num_chains, num_temperatures: Of the annealing; the cost is that of as many Gibbs steps.
            seed: Seed of its draws.
        """
        if not self.built:
            raise ValueError("The machine must be built, by `fit` or a call. Received: no weights")
        check_count("num_chains", num_chains, 2, 2**31 - 1)
        check_count("num_temperatures", num_temperatures, most=2**31 - 1)
        check_count("seed", seed, 0, 2**31 - 1)
        weights = self.kernel, self.visible_bias, self.hidden_bias
        kernel, visible, hidden = (weight.numpy() for weight in weights)
        if min(self.kernel.shape) <= MAX_ENUMERATED:
            return Estimate(log_partition.enumerated_log_partition(kernel, visible, hidden))
        options = {"num_chains": num_chains, "num_steps": num_temperatures, "seed": seed}
        annealed = log_partition.annealed_log_partition
        value, error = annealed(kernel, visible, hidden, visible, **options)
        return Estimate(value, error)

    def log_likelihood(self, x: Any, *, batch_size: int = 1000, **options: Any) -> Estimate:
        """Mean log-probability of binary examples, nats per example.

        Args:
            x: Visible units `[num_examples, visible]`, 0 or 1. For values in between the result is
                computed from their energy, but is not a log-probability.
            batch_size: Number of examples at a time.
            options: As in `log_partition`, whose standard error the result has.
        """
        check_keywords(self.log_likelihood, self.log_partition, options)
        check_count("batch_size", batch_size)
        x = check_numbers("x", x, self._shape_of_visible, 0, 1, booleans=True, dtype=None)
        log_z = self.log_partition(**options)
        starts = range(0, len(x), batch_size)
        energies = [self.free_energy(x[i : i + batch_size]).numpy() for i in starts]
        mean = float(np.mean(np.concatenate(energies), dtype=np.float64))
        return Estimate(-mean - log_z, log_z.standard_error)

    def hidden_states(self, x: Any, *, sample: bool = False, batch_size: int = 1000) -> np.ndarray:
        """States of the hidden units, bool `[num_examples, units]`.

        Args:
            x: Visible units `[num_examples, visible]` in [0, 1].
            sample: Whether to draw each unit; by default a unit is on if its probability exceeds
                1/2.
        """
        check_flag("sample", sample)
        check_count("batch_size", batch_size, most=2**31 - 1)
        probability = hidden_probabilities(self, x, batch_size)
        if not sample:
            return probability > 0.5
        states = self._bernoulli(probability, 0).numpy().astype(bool)
        self.num_draws.assign_add(1)
        return states

    def generate(self, states: Any, num_steps: int = 0) -> np.ndarray:
        """Probabilities of the visible units, `[num_states, visible]`, from hidden states.

        Args:
            states: Hidden units `[num_states, units]`.
            num_steps: Number of Gibbs steps before the visible probabilities are computed.
        """
        shape = f"[num_states, {self.units}]"
        states = check_numbers("states", states, shape, 0, 1, booleans=True, dtype=None)
        check_count("num_steps", num_steps, 0, 2**31 - 1)
        states = tf.cast(states, self.variable_dtype)
        return self._generate(states, tf.constant(int(num_steps))).numpy()

    @tf.function(reduce_retracing=True)
    def _generate(self, states: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
        """Gibbs steps from hidden states, then the visible probabilities."""
        for _ in tf.range(num_steps):
            visible = self._bernoulli(self._visible_probability(states), 0)
            states = self._bernoulli(tf.sigmoid(self._hidden_input(visible)), 1)
            self.num_draws.assign_add(1)
        return self._visible_probability(states)

    def _visible_batch(self, data: Any) -> tf.Tensor:
        """Visible units of a batch; builds the machine for the first one."""
        visible, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if not self.built:
            with tf.init_scope():
                self.build(visible.shape)
        return tf.cast(visible, self.variable_dtype)

    def _hidden_input(self, visible: tf.Tensor) -> tf.Tensor:
        """Input of the hidden units, `v W + c`."""
        return tf.matmul(visible, self.kernel) + self.hidden_bias

    def _visible_probability(self, hidden: tf.Tensor) -> tf.Tensor:
        """Probability of the visible units given the hidden ones."""
        return tf.sigmoid(tf.matmul(hidden, self.kernel, transpose_b=True) + self.visible_bias)

    def _bernoulli(
        self, probability: tf.Tensor, purpose: int, first_row: tf.Tensor | int = 0
    ) -> tf.Tensor:
        """Binary draws, 0.0 or 1.0; different ones for each purpose within a step."""
        seed = tf.stack([self.seed + purpose * 2**32, tf.convert_to_tensor(self.num_draws)])
        return bernoulli(probability, seed, tf.cast(first_row, tf.int64))
