"""What both noisy layers share: seeds that survive saving, and the rule for when to draw."""

import contextlib
import inspect
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import keras
import tensorflow as tf

__all__ = ["NoisyWrapper", "call_with_mask", "drawing", "resting"]


def call_with_mask(layer: keras.layers.Layer, inputs, *others, mask=None, **kwargs):
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

    def wants(self, layer, kind) -> bool:
        """Whether this layer draws noise of this kind."""
        chosen = self.layers is None or any(layer is one for one in self.layers)
        return chosen and getattr(self, kind)


_active: list[_Drawing] = []


@contextlib.contextmanager
def drawing(
    seed,
    *,
    weights: bool = True,
    activations: bool = True,
    layers: Collection[keras.layers.Layer] | None = None,
) -> Iterator[None]:
    """Inside, noisy layers draw although nothing trains; their own generators stay untouched.

    BatchNormalization and Dropout are not affected: they go by the ``training`` flag alone.
    The choice is made when a function is traced: trace inside this context what should draw.

    Args:
        seed: integer tensor of shape ``[2]``; with the same seed and model the noise is the same.
        weights: whether weights are drawn from their posterior.
        activations: whether activations are multiplied by noise.
        layers: the noisy layers that draw; by default all.
    """
    _active.append(_Drawing(tf.cast(seed, tf.int32), weights, activations, layers))
    try:
        yield
    finally:
        _active.pop()


class _Resting(threading.local):
    """Whether this thread is at rest: while one predicts, another may train."""

    on = False


_resting = _Resting()


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Inside, noisy layers neither draw nor charge, unless `drawing` asks for noise."""
    before, _resting.on = _resting.on, True
    try:
        yield
    finally:
        _resting.on = before


class NoisyWrapper(keras.layers.Wrapper):
    """Abstract: a wrapper that adds noise to the layer it holds.

    The wrapped layer's dtype policy governs. The state of the noise is saved with the weights, so
    that what is resumed neither repeats noise nor departs from the undisturbed run.
    """

    def __init__(self, layer: keras.layers.Layer, *, seed: int | None = None, **kwargs):
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(f"`layer` must be a Keras layer. Received: layer={layer!r}")
        policy = keras.dtype_policies.get(kwargs.pop("dtype", layer.dtype_policy))
        if policy.name != layer.dtype_policy.name:
            raise ValueError(
                "`dtype` is that of the wrapped layer; give it to the layer itself. "
                f"Received: dtype={policy.name!r}, layer.dtype_policy={layer.dtype_policy.name!r}"
            )
        kwargs["dtype"] = policy
        # The wrapped layer casts its own inputs; here, variables keep their full precision.
        super().__init__(layer, autocast=False, **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = layer.supports_masking

    def __call__(self, *args, **kwargs):
        """As the wrapped layer is called, whose first argument may be given by its name there."""
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
    def pricing_weights(self) -> list[keras.Variable]:
        """Weights that say what the noise costs and nothing else: no output depends on them."""
        return []

    def get_config(self) -> dict:
        """The arguments of the constructor."""
        return {**super().get_config(), "seed": self.seed}

    def compute_mask(self, inputs, mask=None):
        """The mask of the wrapped layer."""
        return self.layer.compute_mask(inputs, mask)

    def save_own_variables(self, store):
        """Save the weights, and where the noise has got to."""
        super().save_own_variables(store)
        store["seed_state"] = self.seed_generator.state.numpy()

    def load_own_variables(self, store):
        """Load the weights, and let the noise go on from where it was."""
        keys = store.keys()  # the store of a file has keys, but cannot be iterated over
        saved = {key: store[key] for key in keys}
        seed_state = saved.pop("seed_state", None)
        super().load_own_variables(saved)
        if seed_state is not None:
            self.seed_generator.state.assign(seed_state)

    def _draws(self, kind: Literal["weights", "activations"], training: bool | None) -> bool:
        """Whether this call draws noise."""
        if _active:
            return _active[-1].wants(self, kind)
        return bool(training) and not _resting.on

    def _counts(self, training: bool | None) -> bool:
        """Whether this call belongs to training or evaluation, where activations cost."""
        return training is not None and not _active and not _resting.on

    def _next_seed(self) -> tf.Tensor:
        """A fresh seed of shape [2] for one call of `standard_normal`."""
        if not _active:
            return tf.cast(self.seed_generator.next(), tf.int32)
        scope = _active[-1]
        scope.count += 1
        return tf.random.experimental.stateless_fold_in(scope.seed, scope.count)

    def _call_layer(self, inputs, *others, mask=None, **kwargs):
        """The wrapped layer as it is, with the mask if it takes one."""
        return call_with_mask(self.layer, inputs, *others, mask=mask, **kwargs)
