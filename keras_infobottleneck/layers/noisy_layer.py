"""What every noisy layer shares: when it draws, from which seeds, and what its noise is made of."""

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
    """The layer as it is, with the mask if it takes one."""
    if mask is not None and "mask" in inspect.signature(layer.call).parameters:
        kwargs["mask"] = mask
    return layer(inputs, *others, **kwargs)


@dataclass
class _Drawing:
    """Noise wanted outside training: which kinds, from which seed, how many were handed out."""

    seed: tf.Tensor
    weights: bool
    activations: bool
    layers: Collection[keras.layers.Layer] | None
    count: int = 0

    def wants(self, layer: "NoisyLayer", kind: str) -> bool:
        """Whether this layer draws noise of this kind."""
        chosen = self.layers is None or any(layer is one for one in self.layers)
        return chosen and getattr(self, kind)


# Each thread, and each asynchronous task, has its own.
_drawing: ContextVar[_Drawing | None] = ContextVar("drawing", default=None)
_at_rest: ContextVar[bool] = ContextVar("at_rest", default=False)

# Strategies of `tf.distribute` run replicas in threads of their own, which have the graph of the
# thread that waits for them in common with it, and with nobody else.
_for_replicas: weakref.WeakKeyDictionary[tf.Graph, _Drawing] = weakref.WeakKeyDictionary()


def _is_replica() -> bool:
    return tf.distribute.has_strategy() and tf.distribute.get_replica_context() is not None


def _current_drawing() -> _Drawing | None:
    """The innermost `drawing` of this thread, or of the one that this replica works for."""
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
    """Context in which noisy layers draw their noise although nothing is trained.

    The generators of the layers stay untouched.

    BatchNormalization and Dropout are not affected: they go by the ``training`` flag alone.
    The choice is made when a function is traced: trace inside this context what should draw. The
    context belongs to the thread (and the asynchronous task) that opened it: what other threads
    call or trace meanwhile draws nothing. The replicas of a `tf.distribute` strategy that runs
    inside the context are part of it, with noise of their own; of a context that a replica opens
    itself the seed is taken as it is.

    Args:
        seed: integer tensor of shape ``[2]``; with the same seed and model the noise is the same.
        weights: whether weights are drawn from their posterior.
        activations: whether activations are multiplied by noise.
        layers: the noisy layers that draw; by default all.

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
    # A replica's own context is for itself: another replica may run before it is closed.
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
    """Inside, noisy layers neither draw nor charge, unless `drawing` asks for noise."""
    before = _at_rest.get()
    _at_rest.set(True)
    try:
        yield
    finally:
        _at_rest.set(before)


class NoisyLayer(keras.layers.Layer):
    """Base class of layers that draw noise; the whole package recognises its subclasses.

    Models find such a layer wherever it sits, `drawing` and `predict_samples` make it draw,
    `make_deterministic` puts a layer without noise in its place, and estimators tell the weights
    that its noise is made of from those that predictions read. A layer of your own gives `noise`,
    asks `draws` in its `call`, takes its seeds from `next_seed`, and overrides of the rest what
    applies. The state of the noise is saved with the weights, so that training that is resumed
    neither repeats noise nor departs from the undisturbed run.

    Noise on the weights costs `kl_divergence`, which the model adds to its objective. Noise on
    the activations costs what the layer adds by `add_loss` in its `call` where `counts` says so;
    for the report of `audit` it offers ``information(inputs, mask=None)``, a tensor of nats for
    each example and unit, and ``beta``, the variable that is its price.

    Args:
        seed: seed of the noise; by default a random one.
        **kwargs: as of `keras.layers.Layer`.

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
        """Weights of the noise and its price; predictions without noise read none of them."""
        return self.pricing_weights

    @property
    def pricing_weights(self) -> list[keras.Variable]:
        """Those of `noise_weights` that only decide what noise costs; no output depends on them."""
        return []

    @property
    def variational_weights(self) -> list[keras.Variable]:
        """Weights that have a distribution; their values are its means."""
        return []

    @property
    def prior_weights(self) -> list[keras.Variable]:
        """Those of `noise_weights` that hold a prior and must stay as they are."""
        return []

    def kl_divergence(self) -> tf.Tensor:
        """Information in the layer's weights: total nats, a float32 scalar."""
        return tf.zeros([])

    def signal_to_noise(self) -> dict:
        """``|mean| / standard deviation``, in the order of `variational_weights`, by path."""
        return {}

    @classmethod
    def without_noise(cls, config: dict) -> dict:
        """Serialised layer that replaces one with this configuration when noise is removed.

        It has the weights of the noisy layer, in their order, but for `noise_weights`.

        Args:
            config: what `get_config` gave.
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
        """Whether this call belongs to training or evaluation, where activations cost."""
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
        """Save the weights and the state of the noise."""
        super().save_own_variables(store)
        store["seed_state"] = self.seed_generator.state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Load the weights and the state of the noise, which continues from there."""
        keys = store.keys()  # the store of a file has keys, but cannot be iterated over
        saved = {key: store[key] for key in keys}
        seed_state = saved.pop("seed_state", None)
        super().load_own_variables(saved)
        if seed_state is not None:
            self.seed_generator.state.assign(seed_state)


def noisy_layers(
    model: keras.Model, noise: Literal["weights", "activations"] | None = None
) -> list[NoisyLayer]:
    """Every noisy layer of a model, wherever it sits, each once; of one kind of noise, or all."""
    layers = layers_of_kind(model, NoisyLayer)
    return [layer for layer in layers if noise in (None, layer.noise)]


class NoisyWrapper(NoisyLayer, keras.layers.Wrapper):
    """Abstract: adds noise to the layer it holds, whose dtype policy governs."""

    def __init__(self, layer: keras.layers.Layer, *, seed: int | None = None, **kwargs: Any):
        check_layer("layer", layer)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", layer.dtype_policy))
        if policy.name != layer.dtype_policy.name:
            raise ValueError(
                "`dtype` is that of the wrapped layer; give it to the layer itself. "
                f"Received: dtype={policy.name!r}, layer.dtype_policy={layer.dtype_policy.name!r}"
            )
        kwargs["dtype"] = policy
        # The wrapped layer casts its own inputs; here, variables keep their full precision.
        super().__init__(layer, seed=seed, autocast=False, **kwargs)
        self.supports_masking = layer.supports_masking

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls as the wrapped layer is called, whose first argument may be given by name."""
        first = next(iter(inspect.signature(self.layer.call).parameters), None)
        if not args and first in kwargs:
            args = (kwargs.pop(first),)
        return super().__call__(*args, **kwargs)

    @property
    def variable_dtype(self) -> str:
        """The compute dtype; every variable here names its own.

        Where the two differ, Keras casts what is read inside `call` to the compute dtype, even
        with ``autocast=False``; variances would then be formed in float16.
        """
        return self.compute_dtype

    @property
    def noise_weights(self) -> list[keras.Variable]:
        """All weights but those of the wrapped layer."""
        inner = {id(weight) for weight in self.layer.weights}
        return [weight for weight in self.weights if id(weight) not in inner]

    @classmethod
    def without_noise(cls, config: dict) -> dict:
        """The wrapped layer."""
        return config["layer"]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the wrapped layer."""
        return self.layer.compute_mask(inputs, mask)
