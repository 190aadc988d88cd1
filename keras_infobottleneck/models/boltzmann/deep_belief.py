"""Deep belief network: a stack of Boltzmann machines, trained layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_flag, refusal, seed_or_fresh
from keras_infobottleneck.introspection.replicas import creating_weights_of
from keras_infobottleneck.models.boltzmann.machine import RestrictedBoltzmannMachine
from keras_infobottleneck.models.boltzmann.visible_units import hidden_probabilities, training_data

__all__ = ["DeepBeliefNetwork"]


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class DeepBeliefNetwork(keras.Model):
    """A stack of restricted Boltzmann machines.

    Call `compile(optimizer)`, then `fit(x)`: the machines are trained one after the other, each on
    the hidden probabilities of the one below, and each with a fresh copy of the optimizer. The
    histories and the progress bars are those of the single machines.

    Layers are numbered from 1; layer 0 is the data.

    Args:
        units: Number of hidden units of each layer, from the data upwards.
        num_steps, persistent, num_chains: As in `RestrictedBoltzmannMachine`.
        seed: Integer below 2^31 - 1000; if None, a random one that the configuration keeps.

    Raises:
        ValueError: `units` is not a sequence of positive integers.

    References:
        Hinton, Osindero, Teh (2006), Neural Computation 18(7); Song, Marsili, Jo (2018),
        arXiv 1710.11324.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        x = (np.random.default_rng(0).random((40, 6)) < 0.5).astype("float32")
        network = kib.models.DeepBeliefNetwork([4, 2], seed=0)
        network.compile("sgd")
        network.fit(x, batch_size=20, epochs=1, verbose=0)
        print([network.hidden_states(x, layer).shape for layer in (1, 2)])
        ```

        ```text
        [(40, 4), (40, 2)]
        ```
    """

    def __init__(
        self,
        units: Sequence[int],
        *,
        num_steps: int = 1,
        persistent: bool = False,
        num_chains: int = 100,
        seed: int | None = None,
        **kwargs: Any,
    ):
        if not isinstance(units, Sequence | np.ndarray) or isinstance(units, str):
            raise refusal(TypeError, "units", "be a sequence of numbers of units", units)
        if not len(units):
            raise refusal(ValueError, "units", "hold at least one number of units", units)
        units = [check_count(f"units[{index}]", size) for index, size in enumerate(units)]
        seed = seed_or_fresh("seed", seed, 2**31 - 1001)
        super().__init__(**kwargs)
        self.seed = seed
        self.machines = [
            RestrictedBoltzmannMachine(
                size,
                num_steps=num_steps,
                persistent=persistent,
                num_chains=num_chains,
                seed=self.seed + index,
                name=f"layer_{index + 1}",
            )
            for index, size in enumerate(units)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds every machine on the one below."""
        for machine in self.machines:
            machine.build(input_shape)
            input_shape = machine.compute_output_shape(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Probabilities of the units of the top layer, `[batch, units]`."""
        for machine in self.machines:
            inputs = machine(inputs)
        return inputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the top layer."""
        return (*input_shape[:-1], self.machines[-1].units)

    def get_config(self) -> dict:
        """Arguments of the constructor."""
        first = self.machines[0]
        return super().get_config() | {
            "units": [machine.units for machine in self.machines],
            "num_steps": first.num_steps,
            "persistent": first.persistent,
            "num_chains": first.num_chains,
            "seed": self.seed,
        }

    def fit(
        self,
        x: Any,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: list | None = None,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> dict[str, keras.callbacks.History]:
        """Trains every layer in turn.

        Args:
            x: Visible units `[num_examples, visible]` in [0, 1], or a batched `tf.data.Dataset` of
                them.
            validation_data: The same kind of data.
            batch_size, epochs, verbose, callbacks, **kwargs: As in `keras.Model.fit`, passed to
                each machine.

        Returns:
            A dictionary from layer name to the `keras.callbacks.History` of its machine.

        Raises:
            TypeError: The data have labels, are sparse, or are of another kind.
        """
        options: dict[str, Any] = {"batch_size": batch_size, "epochs": epochs, "verbose": verbose}
        options |= {"callbacks": callbacks, **kwargs}
        if not self.compiled:
            raise ValueError("`compile` must be called before `fit`. Received: no optimizer")
        for name, data in (("x", x), ("validation_data", validation_data)):
            _check_unlabelled(name, data)
        x, _ = training_data(self, x)
        if validation_data is not None:
            validation_data, _ = training_data(self, validation_data, "validation_data")
        histories = {}
        for machine in self.machines:
            with creating_weights_of(machine):
                machine.compile_from_config(self.get_compile_config())
            histories[machine.name] = machine.fit(x, validation_data=validation_data, **options)
            x, validation_data = (_upwards(machine, data) for data in (x, validation_data))
        return histories

    def hidden_states(
        self, x: Any, layer: int, *, sample: bool = False, batch_size: int = 1000
    ) -> np.ndarray:
        """States of a layer, bool `[num_examples, units]`.

        Args:
            x: Visible units `[num_examples, visible]` in [0, 1].
            layer: Number of the layer, from 1.
            sample: Whether to draw the units of every layer on the way. By default probabilities
                are passed up, and a unit is on if its probability exceeds 1/2.
        """
        top = self._machine(layer)
        check_flag("sample", sample)
        check_count("batch_size", batch_size)
        for machine in self.machines[: layer - 1]:
            if sample:
                x = machine.hidden_states(x, sample=True, batch_size=batch_size).astype("float32")
            else:
                x = hidden_probabilities(machine, x, batch_size)
        return top.hidden_states(x, sample=sample, batch_size=batch_size)

    def generate(self, layer: int, states: Any, num_steps: int = 0) -> np.ndarray:
        """Probabilities of the visible units, `[num_states, visible]`, from the states of a layer.

        The machine of this layer makes `num_steps` Gibbs steps; then every layer below is drawn
        once.

        Args:
            layer: Number of the layer, from 1.
            states: Hidden units `[num_states, units]`.
            num_steps: Number of Gibbs steps of the machine.
        """
        visible = self._machine(layer).generate(states, num_steps)
        for machine in self.machines[: layer - 1][::-1]:
            machine.num_draws.assign_add(1)
            visible = machine.generate(machine._bernoulli(tf.constant(visible), 2).numpy())
        return visible

    def _machine(self, layer: int) -> RestrictedBoltzmannMachine:
        """The machine whose hidden units are the layer."""
        return self.machines[check_count("layer", layer, most=len(self.machines)) - 1]


def _check_unlabelled(name: str, data: Any) -> None:
    """Refuses data with labels, or of a kind that cannot be passed upwards."""
    labelled = isinstance(data, tf.data.Dataset) and not isinstance(
        data.element_spec, tf.TensorSpec
    )
    if labelled or isinstance(data, tuple | keras.utils.PyDataset):
        raise TypeError(
            f"`{name}` must be an array of visible units, or a batched tf.data.Dataset of them "
            f"without labels. Received: {name} of type {type(data).__name__}"
        )


def _upwards(machine: RestrictedBoltzmannMachine, data: Any) -> Any:
    """Hidden probabilities of a machine, which are the data of the next one."""
    if data is None:
        return None
    if isinstance(data, tf.data.Dataset):
        return data.map(lambda x: machine(x))
    return machine.predict(data, batch_size=1000, verbose=0)
