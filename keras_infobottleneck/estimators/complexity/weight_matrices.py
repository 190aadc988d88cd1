"""The weights of a model as matrices ``[out, in...]``, for any rank and layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_choice, refusal
from keras_infobottleneck.introspection.contents import inner_layers, noise_weights, weight_names

__all__ = [
    "WEIGHTS_AT_ONCE",
    "Layout",
    "WeightMatrix",
    "Weights",
    "matrices_of_blocks",
    "weight_matrices",
]

Weights: TypeAlias = keras.Model | np.ndarray | Mapping[str, np.ndarray] | Sequence[np.ndarray]
Layout = Literal["out_first", "keras"]

# Number of weights processed at a time, whose float64 copy fits in the cache.
WEIGHTS_AT_ONCE = 1 << 16

_NORMALIZATION_NAMES = ("gamma", "beta", "moving_mean", "moving_variance", "mean", "variance")


@dataclass(frozen=True)
class WeightMatrix:
    """One weight tensor and its layout as a matrix, with outputs as rows.

    ``permutation`` moves the output axes of ``tensor`` to the front; the first ``num_output_axes``
    of the result become the rows, the others the columns.
    """

    path: str
    tensor: keras.Variable | np.ndarray
    permutation: tuple[int, ...]
    num_output_axes: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        sides = [self.tensor.shape[axis] for axis in self.permutation]
        return int(np.prod(sides[: self.num_output_axes])), int(
            np.prod(sides[self.num_output_axes :])
        )

    def values(self) -> np.ndarray:
        """The matrix as a float array ``[out, in...]``; non-finite weights are refused."""
        array = self.tensor
        if isinstance(array, keras.Variable):
            # NumPy reads the memory of a tensor; Keras would copy that of a variable twice.
            array = np.asarray(tf.convert_to_tensor(array.value))
        # Float16 and bfloat16 are exact in float32.
        exact = np.float64 if array.dtype.itemsize >= 8 else np.float32
        array = array.astype(exact, copy=False)
        matrix = array.transpose(self.permutation).reshape(self.shape)
        flat = array.ravel("K")
        parts = (flat[i : i + WEIGHTS_AT_ONCE] for i in range(0, flat.size, WEIGHTS_AT_ONCE))
        if not all(np.isfinite(part).all() for part in parts):
            bad = int(matrix.size - np.isfinite(matrix).sum())
            raise ValueError(
                f"`weights` must be finite. Received: {self.path!r} with {bad} numbers that are not"
            )
        return matrix

    def to_tensor(self, matrix: np.ndarray) -> np.ndarray:
        """The inverse of ``values``: ``matrix`` with the axes of the tensor."""
        sides = [self.tensor.shape[axis] for axis in self.permutation]
        return matrix.reshape(sides).transpose(np.argsort(self.permutation))


def weight_matrices(
    weights: Weights, layout: Layout | None = None, name: str = "weights"
) -> tuple[list[WeightMatrix], dict[str, str]]:
    """Every weight of rank two or more as a matrix, and the other weights with the reason.

    For a model: kernels, frozen or not, shared ones once, in the order of ``model.weights``.
    Biases, the scales and offsets of normalisation and the chains of a Boltzmann machine are left
    out by name, integers by type.
    ``Dense`` and recurrent kernels become ``[out, in]``, convolutions ``[out, in * spatial]`` with
    the positions of one input channel adjacent. Transposed convolutions have the same form (the
    published code uses the layout of its framework, ``[in, out * spatial]``, which gives another
    number, by 19 % in one network). Depthwise ones become ``[in * multiplier, spatial]``,
    ``EinsumDense`` (and attention) follows its equation, and embeddings stay
    ``[vocabulary, dimension]``.

    For arrays (a mapping from names, a sequence, or one array): ``layout`` says which axis is the
    output, the first (``"out_first"``; the others are flattened) or the last (``"keras"``, as in
    ``model.get_weights()``; treated like a model, except that kinds of layers are unknown). Without
    it the layout of a sequence is found from arrays of rank one, which are as long as the outputs
    of the kernel before them. If there are none, the first axis is the output.

    Raises:
        TypeError: If ``weights`` is none of these.
        ValueError: If the model has not been built, ``layout`` is given for a model or is unknown,
            or arrays of rank one do not determine which axis is the output.
    """
    check_choice("layout", layout, ("out_first", "keras"), optional=True)
    if isinstance(weights, keras.Model):
        if layout is not None:
            raise ValueError(f"`layout` is for arrays, a model has its own. Received: {layout=}")
        return _of_model(weights, name)
    if isinstance(weights, np.ndarray):
        weights = [weights]
    if isinstance(weights, Sequence) and not isinstance(weights, str | bytes):
        layout = layout or _told_layout(weights)
        weights = {f"weight_{i}": array for i, array in enumerate(weights)}
    if not isinstance(weights, Mapping):
        expected = "be a Keras model, a NumPy array, or a mapping or sequence of such arrays"
        raise refusal(TypeError, name, expected, weights)
    matrices, skipped = [], {}
    for path, array in weights.items():
        if not isinstance(array, np.ndarray):
            raise refusal(TypeError, name, "hold NumPy arrays", {path: array})
        if array.ndim < 2:
            skipped[path] = "fewer than two axes"
        elif not _is_floating(array.dtype):
            raise refusal(TypeError, name, "be floating point", {path: array})
        else:
            axes = _keras_axes(array.ndim) if layout == "keras" else tuple(range(array.ndim))
            matrices.append(WeightMatrix(path, array, axes, 1))
    return matrices, skipped


def _keras_axes(rank: int) -> tuple[int, ...]:
    """Axes of a kernel ``[..., in, out]`` with the output first."""
    return (rank - 1, rank - 2, *range(rank - 2))


def _told_layout(arrays: Sequence[np.ndarray]) -> Layout | None:
    """Layout of a kernel, found from the bias behind it, which has one entry per output."""
    first = last = biases = 0
    kernel = None
    for array in arrays:
        shape = np.shape(array)
        if len(shape) > 1:
            kernel = shape
        elif kernel is not None and len(shape) == 1:
            biases += 1
            first += shape[0] == kernel[0] != kernel[-1]
            last += shape[0] == kernel[-1] != kernel[0]
    if biases and (first > 0) == (last > 0):
        raise ValueError(
            "`layout` must say whether the first or the last axis of the arrays is the output, "
            "'out_first' or 'keras', since their biases do not show it; or give the model itself. "
            f"Received: arrays of shapes {[np.shape(array) for array in arrays][:6]}"
        )
    if not biases:
        return None
    return "keras" if last else "out_first"


def matrices_of_blocks(
    weights: Weights, layout: Layout | None, side: int, name: str = "weights"
) -> tuple[list[WeightMatrix], dict[str, str]]:
    """The matrices of ``weight_matrices``, except those with a side smaller than a block.

    Raises:
        TypeError, ValueError: As in ``weight_matrices``, and if no matrix is left.
    """
    matrices, skipped = weight_matrices(weights, layout, name)
    for matrix in matrices:
        if min(matrix.shape) < side:
            skipped[matrix.path] = f"smaller than a block as {matrix.shape[0]} x {matrix.shape[1]}"
    matrices = [matrix for matrix in matrices if matrix.path not in skipped]
    if not matrices:
        raise refusal(ValueError, name, f"hold a matrix of at least {side} x {side}", skipped)
    return matrices, skipped


def _of_model(model: keras.Model, name: str) -> tuple[list[WeightMatrix], dict[str, str]]:
    """Matrices of a model's kernels, and the other weights with the reason."""
    if not model.built:
        raise refusal(ValueError, name, "be a model that has been built", model)
    layouts = _special_layouts(model)
    noise = {id(variable) for variable in noise_weights(model, "weights")}
    matrices, skipped = [], {}
    names = weight_names(model, model.weights)
    for path, variable in zip(names, model.weights, strict=True):
        reason = _reason_to_skip(variable)
        if reason is None and id(variable) in noise:
            reason = "a noise scale or a prior"
        if reason:
            skipped[path] = reason
        else:
            default = _keras_axes(len(variable.shape)), 1
            matrices.append(WeightMatrix(path, variable, *layouts.get(id(variable), default)))
    return matrices, skipped


def _special_layouts(model: keras.Model) -> dict[int, tuple[tuple[int, ...], int]]:
    """Permutation and number of output axes of the kernels that are not ``[..., in, out]``."""
    layouts = {}
    for layer in inner_layers(model):
        if not layer.built:
            continue
        if isinstance(layer, keras.layers.EinsumDense):
            layouts[id(layer.kernel)] = _einsum_layout(layer.equation)
        elif isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D):
            layouts[id(layer.kernel)] = _depthwise_layout(layer.kernel)
        elif isinstance(layer, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D):
            layouts[id(layer.depthwise_kernel)] = _depthwise_layout(layer.depthwise_kernel)
        elif isinstance(
            layer,
            keras.layers.Conv1DTranspose
            | keras.layers.Conv2DTranspose
            | keras.layers.Conv3DTranspose,
        ):
            last = len(layer.kernel.shape) - 1
            layouts[id(layer.kernel)] = ((last - 1, last, *range(last - 1)), 1)
        elif isinstance(layer, keras.layers.Embedding):
            layouts[id(layer.embeddings)] = ((0, 1), 1)
    return layouts


def _depthwise_layout(kernel: keras.Variable) -> tuple[tuple[int, ...], int]:
    """Kernels ``[*spatial, in, multiplier]``: every pair of the last two axes is one output."""
    last = len(kernel.shape) - 1
    return (last - 1, last, *range(last - 1)), 2


def _einsum_layout(equation: str) -> tuple[tuple[int, ...], int]:
    """Axes of the kernel that appear in the output are rows, those summed over are columns."""
    operands, output = equation.replace("...", "").replace(" ", "").split("->")
    kernel = operands.split(",")[1]
    rows = [i for i, letter in enumerate(kernel) if letter in output]
    columns = [i for i, letter in enumerate(kernel) if letter not in output]
    return (*rows, *columns), len(rows)


def _reason_to_skip(variable: keras.Variable) -> str | None:
    """The reason why a variable is not a kernel, or None."""
    if len(variable.shape) < 2:
        return "fewer than two axes"
    if not _is_floating(variable.dtype):
        return f"not floating point: {variable.dtype}"
    if variable.name.endswith("bias"):
        return "a bias"
    if variable.name in _NORMALIZATION_NAMES:
        return "part of a normalisation"
    if variable.name == "chains" and not variable.trainable:
        return "states of the chains of a Boltzmann machine"
    return None


def _is_floating(dtype: np.dtype | str) -> bool:
    """Whether Keras treats the type as floating point, including bfloat16."""
    # By name, which does not depend on the byte order.
    name = dtype.name if isinstance(dtype, np.dtype) else dtype
    return name.startswith(("float", "bfloat"))
