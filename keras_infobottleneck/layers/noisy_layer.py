"""The base class of noisy layers: when a layer draws, with which seeds, and from which weights."""

import contextlib
import inspect
import weakref
from collections.abc import Collection, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_flag,
    check_instance,
    check_integers,
    check_layer,
    check_seed,
    refusal,
)
from keras_infobottleneck.distributions.noise import same_on_replicas
from keras_infobottleneck.introspection.contents import layers_of_kind

__all__ = [
    "NoisyLayer",
    "NoisyWrapper",
    "call_with_mask",
    "drawing",
    "noisy_layers",
    "resting",
]


def call_with_mask(
    layer: keras.layers.Layer, inputs: Any, *others: Any, mask: Any = None, **kwargs: Any
) -> Any:
    """Calls a layer, with the mask if the layer accepts one."""
    if mask is not None and "mask" in inspect.signature(layer.call).parameters:
        kwargs["mask"] = mask
    return layer(inputs, *others, **kwargs)


@dataclass
class _Drawing:
    """A request for noise outside training: its kinds, its seed, and the number of draws so far."""

    seed: tf.Tensor
    weights: bool
    activations: bool
    layers: Collection[keras.layers.Layer] | None
    count: int = 0

    def wants(self, layer: "NoisyLayer", kind: str) -> bool:
        """Whether this layer draws this kind of noise."""
        chosen = self.layers is None or any(layer is one for one in self.layers)
        return chosen and getattr(self, kind)


# Separate for each thread and each asynchronous task.
_drawing: ContextVar[_Drawing | None] = ContextVar("drawing", default=None)
_at_rest: ContextVar[bool] = ContextVar("at_rest", default=False)

# Strategies of `tf.distribute` run replicas in threads of their own. Such a thread shares its graph
# with the thread that waits for it, and with no other.
_for_replicas: weakref.WeakKeyDictionary[tf.Graph, _Drawing] = weakref.WeakKeyDictionary()


def _is_replica() -> bool:
    return tf.distribute.has_strategy() and tf.distribute.get_replica_context() is not None


def _current_drawing() -> _Drawing | None:
    """The innermost `drawing` of this thread, or of the thread for which this replica runs."""
    own = _drawing.get()
    if own is not None or not _is_replica():
        return own
    graph = tf.compat.v1.get_default_graph()
    while graph is not None and graph not in _for_replicas:
        graph = getattr(graph, "outer_graph", None)
    return None if graph is None else _for_replicas[graph]


@contextlib.contextmanager
def drawing(
    seed: Any,
    *,
    weights: bool = True,
    activations: bool = True,
    layers: Collection[keras.layers.Layer] | None = None,
) -> Iterator[None]:
    """Context in which noisy layers draw their noise outside training.

    The random generators of the layers do not advance.

    BatchNormalization and Dropout are not affected: they depend on the ``training`` flag alone.
    Whether a layer draws is decided when a function is traced: trace inside this context. The
    context belongs to the thread (and the asynchronous task) that opened it: calls and traces in
    other threads draw nothing. The replicas of a `tf.distribute` strategy that runs inside the
    context are part of it, each with different noise; in a context that a replica opens itself, the
    seed is used unchanged.

    Args:
        seed: Integer tensor of shape ``[2]``; the same seed and model give the same noise.
        weights: Whether weights are drawn from their posterior.
        activations: Whether activations are multiplied by noise.
        layers: The noisy layers that draw; by default all.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        layer = kib.layers.VariationalWeights(keras.layers.Dense(3))
        with kib.layers.drawing(seed=np.array([0, 1])):
            outputs = layer(keras.ops.ones((1, 4)))  # of drawn weights
        ```
    """
    check_flag("weights", weights)
    check_flag("activations", activations)
    if isinstance(seed, tf.Tensor | tf.Variable):
        if not seed.dtype.is_integer or not seed.shape.is_compatible_with([2]):
            raise refusal(ValueError, "seed", "be two integers", seed)
    else:
        seed = check_integers("seed", seed, "[2]")
    if layers is not None:
        check_instance("layers", layers, list | tuple | set | frozenset, "a collection of layers")
        for layer in layers:
            check_layer("layers", layer)
    scope = _Drawing(tf.cast(seed, tf.int32), weights, activations, layers)
    before = _drawing.get()
    _drawing.set(scope)
    # A replica's own context is private: another replica may run before it is closed.
    graph = None if _is_replica() else tf.compat.v1.get_default_graph()
    outer = _for_replicas.get(graph) if graph is not None else None
    if graph is not None:
        _for_replicas[graph] = scope
    try:
        with same_on_replicas():
            yield
    finally:
        _drawing.set(before)
        if outer is not None:
            _for_replicas[graph] = outer
        elif graph is not None:
            _for_replicas.pop(graph, None)


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Inside, noisy layers neither draw nor add costs, unless `drawing` asks for noise."""
    before = _at_rest.get()
    _at_rest.set(True)
    try:
        yield
    finally:
        _at_rest.set(before)


class NoisyLayer(keras.layers.Layer):
    """Base class of layers that draw noise; the whole package recognises its subclasses.

    Models find such a layer anywhere inside a network. `drawing` and `predict_samples` make it
    draw, `make_deterministic` replaces it by a layer without noise, and estimators ignore the
    weights that only make its noise. A subclass sets `noise`, asks `draws` in its `call`, takes its
    seeds from `next_seed`, and overrides the other members as needed. The state of the noise is
    saved with the weights, so that a resumed training has the same noise as an uninterrupted one.

    Noise on the weights costs `kl_divergence`, which the model adds to its objective. Noise on
    the activations costs what the layer adds by `add_loss` in its `call` if `counts` is true.
    For the report of `audit`, such a layer provides ``information(inputs, mask=None)``, a tensor of
    nats for each example and unit, and ``beta``, the variable that holds its price.

    Args:
        seed: Seed of the noise; by default a random one.
        **kwargs: As in `keras.layers.Layer`.

    Example:
        ```python
        import keras
        import keras_infobottleneck as kib

        class Jitter(kib.layers.NoisyLayer):
            noise = "activations"

            def call(self, inputs, training=None):
                if not self.draws(training):
                    return inputs
                noise = kib.distributions.standard_normal(keras.ops.shape(inputs), self.next_seed())
                return inputs + 0.1 * noise

        ones = keras.ops.ones((1, 3))
        layer = Jitter(seed=0)
        print(bool(keras.ops.all(layer(ones) == ones)))
        print(bool(keras.ops.all(layer(ones, training=True) == ones)))
        ```

        ```text
        True
        False
        ```
    """

    noise: Literal["weights", "activations"]
    """What the layer's noise is on; every subclass says so."""

    def __init__(self, *args: Any, seed: int | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.seed = check_seed("seed", seed)
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def noise_weights(self) -> list[keras.Variable]:
        """Weights of the noise and its price; predictions without noise do not read them."""
        return self.pricing_weights

    @property
    def pricing_weights(self) -> list[keras.Variable]:
        """Those of `noise_weights` that only set the cost of noise; no output depends on them."""
        return []

    @property
    def variational_weights(self) -> list[keras.Variable]:
        """Weights that have a distribution; their values are its means."""
        return []

    @property
    def prior_weights(self) -> list[keras.Variable]:
        """Those of `noise_weights` that hold a fixed prior, which training must not change."""
        return []

    def kl_divergence(self) -> tf.Tensor:
        """Information in the layer's weights: total nats, a float32 scalar."""
        return tf.zeros([])

    def signal_to_noise(self) -> dict:
        """``|mean| / standard deviation`` by path, in the order of `variational_weights`."""
        return {}

    @classmethod
    def without_noise(cls, config: dict) -> dict:
        """Serialised layer that replaces one with this configuration when noise is removed.

        Its weights are those of the noisy layer, in their order, without `noise_weights`.

        Args:
            config: The result of `get_config`.
        """
        raise TypeError(
            "A noisy layer is replaced by what its `without_noise` gives, a layer serialized by "
            "`keras.saving.serialize_keras_object`. "
            f"Received: {cls.__name__}, which has no `without_noise`"
        )

    def draws(self, training: bool | None) -> bool:
        """Whether this call draws noise."""
        scope = _current_drawing()
        if scope is not None:
            return scope.wants(self, self.noise)
        return bool(training) and not _at_rest.get()

    def counts(self, training: bool | None) -> bool:
        """Whether this call is part of training or evaluation, in which activations cost nats."""
        return training is not None and _current_drawing() is None and not _at_rest.get()

    def next_seed(self) -> tf.Tensor:
        """A fresh seed for one draw, an int32 tensor of shape [2]."""
        scope = _current_drawing()
        if scope is None:
            return tf.cast(self.seed_generator.next(), tf.int32)
        scope.count += 1
        return tf.random.experimental.stateless_fold_in(scope.seed, scope.count)

    def get_config(self) -> dict:
        """The arguments of the constructor."""
        return {**super().get_config(), "seed": self.seed}

    def save_own_variables(self, store: Any) -> None:
        """Saves the weights and the state of the noise."""
        super().save_own_variables(store)
        store["seed_state"] = self.seed_generator.state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Loads the weights and the state of the noise, which continues from there."""
        keys = store.keys()  # the store of a file has keys, but is not iterable
        saved = {key: store[key] for key in keys}
        seed_state = saved.pop("seed_state", None)
        super().load_own_variables(saved)
        if seed_state is not None:
            self.seed_generator.state.assign(seed_state)


def noisy_layers(
    model: keras.Model, noise: Literal["weights", "activations"] | None = None
) -> list[NoisyLayer]:
    """All noisy layers of a model, at any depth, each once; of one kind of noise, or of both."""
    layers = layers_of_kind(model, NoisyLayer)
    return [layer for layer in layers if noise in (None, layer.noise)]


class NoisyWrapper(NoisyLayer, keras.layers.Wrapper):
    """Abstract: adds noise to the layer that it wraps, and has the dtype policy of that layer."""

    def __init__(self, layer: keras.layers.Layer, *, seed: int | None = None, **kwargs: Any):
        check_layer("layer", layer)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", layer.dtype_policy))
        if policy.name != layer.dtype_policy.name:
            raise ValueError(
                "`dtype` is that of the wrapped layer; give it to the layer itself. "
                f"Received: dtype={policy.name!r}, layer.dtype_policy={layer.dtype_policy.name!r}"
            )
        kwargs["dtype"] = policy
        # The wrapped layer casts its own inputs; variables of the wrapper keep full precision.
        super().__init__(layer, seed=seed, autocast=False, **kwargs)
        self.supports_masking = layer.supports_masking

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer; the first argument may have the name that the wrapped layer gives it."""
        first = next(iter(inspect.signature(self.layer.call).parameters), None)
        if not args and first in kwargs:
            args = (kwargs.pop(first),)
        return super().__call__(*args, **kwargs)

    @property
    def variable_dtype(self) -> str:
        """The compute dtype; each variable of a wrapper sets its own dtype.

        If the two differ, Keras casts variables that are read inside `call` to the compute dtype,
        even with ``autocast=False``; variances would then be computed in float16.
        """
        return self.compute_dtype

    @property
    def noise_weights(self) -> list[keras.Variable]:
        """All weights except those of the wrapped layer."""
        inner = {id(weight) for weight in self.layer.weights}
        return [weight for weight in self.weights if id(weight) not in inner]

    @classmethod
    def without_noise(cls, config: dict) -> dict:
        """The configuration of the wrapped layer."""
        return config["layer"]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the wrapped layer."""
        return self.layer.compute_mask(inputs, mask)
