"""A model that holds another, forwards its attributes, and predicts with means or with draws."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import check_flag
from keras_infobottleneck.introspection.contents import takes_training
from keras_infobottleneck.introspection.making import build_by_call
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.layers.labels_given import labels_given
from keras_infobottleneck.layers.noisy_layer import resting
from keras_infobottleneck.models.sampling import Samplers
from keras_infobottleneck.models.serving import export_with_samples

__all__ = ["NetworkHolder", "has_graph", "shows_arguments_of"]


def shows_arguments_of(method: Callable) -> Callable[[Callable], Callable]:
    """Decorates a method that passes its arguments on, so that `help` shows those of the other."""
    return functools.wraps(method, assigned=(), updated=())


def has_graph(network: keras.Model) -> bool:
    """Whether a network is sequential or functional, with a configuration that lists its layers."""
    if not isinstance(network, keras.Sequential | keras.Function):
        return False
    try:
        return "layers" in network.get_config()
    except NotImplementedError:  # a subclass that makes its graph in its own constructor
        return False


class NetworkHolder(keras.Model):
    """Abstract: holds a network of any kind, functional or subclassed, and forwards its attributes.

    Keras rewrites the bases of a `Model` subclass at its first functional use, after which the same
    class could no longer hold a subclassed network. Holding works for both kinds. A subclass with
    its own layers and `call`, as in Keras' guides, is its own network.

    Args:
        inputs, outputs: As in `keras.Model`; or `inputs` alone is a Keras model of any kind; or
            neither, in a subclass with its own `call`.
        name: Name of the model.
    """

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any
    ):
        # The network casts its own inputs. A cast here would lose digits of token ids in float16.
        super().__init__(name=name, autocast=False, **kwargs)
        if outputs is not None:
            self.network = keras.Model(inputs, outputs, name=self.name)
        elif inputs is not None:
            self.network = inputs
        if "dtype" not in kwargs:
            self.dtype_policy = self.network.dtype_policy
        self.supports_masking = True
        self.built = self.network.built
        self._samplers = Samplers()

    def __getattr__(self, name: str) -> Any:
        """A model that holds no network is its own; Keras would follow an attribute endlessly."""
        if name == "network":
            return self
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _held(self) -> keras.Model:
        """The network, if it is not the model itself."""
        # A method, not a property: Keras saves layers under the first property, in alphabetical
        # order, that holds them. For those of the network this must be `network`.
        if self.network is self:
            raise AttributeError("A model with a `call` of its own has no graph.")
        return self.network

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers of the network."""
        return super().layers if self.network is self else self.network.layers

    @property
    def inputs(self) -> list:
        """The symbolic inputs of a functional or sequential network."""
        return self._held().inputs

    @property
    def outputs(self) -> list:
        """The symbolic outputs of a functional or sequential network."""
        return self._held().outputs

    @property
    def input(self) -> Any:
        """The symbolic input, or inputs in the structure that the network expects."""
        if isinstance(self.network, keras.Sequential):  # whose inputs are always a list
            return self.network.inputs[0]
        return self._held().input

    @property
    def output(self) -> Any:
        """The symbolic output, or outputs in the structure in which the network returns them."""
        if isinstance(self.network, keras.Sequential):
            outputs = self.network.outputs
            return outputs[0] if len(outputs) == 1 else outputs
        return self._held().output

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs of a functional network, by which losses may be given."""
        return self._held().output_names

    def build(self, input_shape: Any) -> None:
        """Builds a subclass with its own `call`; a held network is built by its first call."""
        if self.network is self:
            build_by_call(self, input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Calls the network. Without `training` it is False, and activations add no cost."""
        options = {}
        if mask is not None and "mask" in inspect.signature(self.network.call).parameters:
            options["mask"] = mask
        if training is not None:
            # Passed explicitly: Keras forgets it for this call while it builds an unbuilt network.
            return self.network(inputs, training=training, **options)
        # Keras' augmentation layers take a missing flag as True, for themselves and later layers.
        with resting():
            return self.network(inputs, training=False, **options)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One training step, inside which layers find the labels if their prior depends on them."""
        with labels_given(keras.utils.unpack_x_y_sample_weight(data)[1]):
            return super().train_step(data)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One evaluation step, inside which layers find the labels too."""
        with labels_given(keras.utils.unpack_x_y_sample_weight(data)[1]):
            return super().test_step(data)

    def predict_step(self, data: Any) -> Any:
        """Predicts with the posterior means; activations add no cost."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with resting():
            return self(x, training=False) if takes_training(self) else self(x)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the network's output."""
        if self.network is self:
            return super().compute_mask(inputs, mask)
        return self.network.compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output shape of the network."""
        if self.network is self:
            return super().compute_output_shape(input_shape)
        return self.network.compute_output_shape(input_shape)

    @shows_arguments_of(keras.Model.summary)
    def summary(self, *args: Any, **kwargs: Any) -> None:
        """The summary of the network."""
        if self.network is self:
            super().summary(*args, **kwargs)
        else:
            self.network.summary(*args, **kwargs)

    @on_replicas
    def predict_samples(
        self,
        x: Any,
        num_samples: int,
        *,
        weights: bool = True,
        activations: bool = True,
        batch_size: int | None = None,
        verbose: int | str = 0,
        seed: int | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> Any:
        """Predictions with drawn weights and activations; batch normalisation and dropout stay off.

        Args:
            x: Inputs as arrays, `tf.data.Dataset` or `keras.utils.PyDataset`; labels are ignored.
            num_samples: Number of draws for every example; batches draw independently.
            weights, activations: Whether they are drawn.
            batch_size, verbose: As in `keras.Model.predict`.
            seed: With the same seed and batch size the samples are the same.
            strategy: Strategy on whose replicas it runs; by default that of the current scope.

        Returns:
            Array of shape ``[num_samples, examples, ...]``, or a structure of such arrays if the
            network has several outputs.

        Raises:
            TypeError: The data are of another kind.
            ValueError: The model does not accept the inputs, or they are empty or endless.
        """
        return self._samplers.samples(
            self, x, num_samples, weights, activations, batch_size, verbose, seed
        )

    @shows_arguments_of(keras.Model.export)
    def export(self, *args: Any, samples: bool = False, **kwargs: Any) -> Any:
        """Exports the network with posterior means: the SavedModel needs only TensorFlow.

        With `samples=True` the SavedModel has a second endpoint, `serve_samples(x, num_samples,
        seed)`, whose last two arguments are int32 scalars. It draws as `predict_samples` does for
        one batch.
        """
        served = self.network
        if check_flag("samples", samples):
            inputs = self.input if served.built and has_graph(served) else None
            return export_with_samples(served, inputs, *args, **kwargs)
        if served.built and has_graph(served):
            # Keras exports with `training` left open; see `call`.
            outputs = served(self.input, training=False)
            served = keras.Model(self.input, outputs, name=self.name)
            served(self.input)  # the ONNX exporter requires a model that was called
        with resting():
            if served is self:
                return super().export(*args, **kwargs)
            return served.export(*args, **kwargs)

    def get_config(self) -> dict:
        """Name and dtype policy, and the network if it is not the model itself."""
        config = {"name": self.name, "dtype": keras.dtype_policies.serialize(self.dtype_policy)}
        if self.network is not self:
            config["network"] = keras.saving.serialize_keras_object(self.network)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "NetworkHolder":
        """Makes the model and its network."""
        if "network" not in config:
            return cls(**config)
        config = dict(config)
        network = keras.saving.deserialize_keras_object(
            config.pop("network"), custom_objects=custom_objects
        )
        return cls(network, **config)
