"""Cases in which the gradient of a TensorFlow gradient is wrong or missing, and their remedies.

`tf.nn.moments`, with which Keras normalises layers and groups, stops the gradient at the mean. The
first derivative of the variance is not affected, because the variance is stationary in the mean;
its second derivative is. So moments are replaced by exact ones while a model is traced for second
derivatives, and a model that uses the original ones, in code that was traced or imported before, is
refused. The gradients of nearest-neighbour resizing and of the softsign have no gradient in
TensorFlow; they are registered here.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

__all__ = ["check_differentiable_again", "check_moments", "exact_moments"]

# TensorFlow marks these as not differentiable, and a tape treats their results as constants. All
# but the first belong to quantisation.
GRADIENTS_WITHOUT_GRADIENT = (
    "ResizeBilinearGrad",
    "FakeQuantWithMinMaxArgsGradient",
    "FakeQuantWithMinMaxVarsGradient",
    "FakeQuantWithMinMaxVarsPerChannelGradient",
)


def _nearest(operation: Any, gradient: tf.Tensor) -> tuple[tf.Tensor, None]:
    """The gradient of nearest-neighbour resizing's gradient, a linear map: the resizing itself."""
    resized = tf.raw_ops.ResizeNearestNeighbor(
        images=gradient,
        size=tf.shape(operation.inputs[0])[1:3],
        align_corners=operation.get_attr("align_corners"),
        half_pixel_centers=operation.get_attr("half_pixel_centers"),
    )
    return resized, None


def _softsign(operation: Any, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients of the softsign's gradient `g / (1 + |x|)^2` with respect to g and x."""
    upstream, x = operation.inputs
    slope = 1.0 / tf.square(1.0 + tf.abs(x))
    return gradient * slope, -2.0 * gradient * upstream * slope * tf.sign(x) / (1.0 + tf.abs(x))


for _kind, _gradient in {"ResizeNearestNeighborGrad": _nearest, "SoftsignGrad": _softsign}.items():
    with contextlib.suppress(KeyError):  # TensorFlow or another package may have registered one
        tf.RegisterGradient(_kind)(_gradient)

_LOCK = threading.Lock()
_THREADS: list[int] = []  # threads inside `exact_moments`, once for each time they entered
_MOMENTS = tf.nn.moments


@contextlib.contextmanager
def exact_moments() -> Iterator[None]:
    """Makes `tf.nn.moments` twice differentiable for this thread while the context is open."""
    thread = threading.get_ident()
    with _LOCK:
        _THREADS.append(thread)
        tf.nn.moments = _moments
    try:
        yield
    finally:
        with _LOCK:
            _THREADS.remove(thread)
            if not _THREADS:
                tf.nn.moments = _MOMENTS


def _moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: Any = None) -> Any:
    """`tf.nn.moments` with the gradient through the mean included in the variance."""
    if threading.get_ident() not in _THREADS:
        return _MOMENTS(x, axes, shift=shift, keepdims=keepdims, name=name)
    x = tf.convert_to_tensor(x)
    wide = tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x
    mean = tf.reduce_mean(wide, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(wide, mean), axes, keepdims=True)
    if not keepdims:
        mean, variance = tf.squeeze(mean, axes), tf.squeeze(variance, axes)
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


def check_differentiable_again() -> None:
    """Refuses a traced gradient without a gradient, which would make products silently wrong.

    Raises:
        ValueError: The graph being traced contains such an operation.
    """
    kinds = {operation.type for operation in tf.compat.v1.get_default_graph().get_operations()}
    for kind in GRADIENTS_WITHOUT_GRADIENT:
        if kind in kinds:
            raise ValueError(
                "Products need the gradient of every gradient, and TensorFlow has none for "
                "bilinear resizing and simulated quantisation; resize with "
                "interpolation='nearest', or give `variables` behind it. "
                f"Received: an operation {kind}"
            )


def check_moments() -> None:
    """Refuses moments that stop the gradient at the mean, in the graph being traced.

    Raises:
        ValueError: A variance treats its mean as a constant.
    """
    definition = tf.compat.v1.get_default_graph().as_graph_def()
    for nodes in (definition.node, *(f.node_def for f in definition.library.function)):
        by_name = {node.name: node for node in nodes}
        for node in nodes:
            if node.op != "SquaredDifference":
                continue
            parts = [by_name.get(name.split(":")[0]) for name in node.input]
            for part in parts:
                if part is None or part.op != "StopGradient":
                    continue
                stopped = by_name.get(part.input[0].split(":")[0])
                if stopped is not None and stopped.op == "Mean":
                    raise ValueError(
                        "Second derivatives of `tf.nn.moments` are wrong where it was imported by "
                        "name or traced before: call it as `tf.nn.moments` or "
                        "`keras.ops.moments`, outside functions of your own. "
                        f"Received: an operation {node.name!r}"
                    )
