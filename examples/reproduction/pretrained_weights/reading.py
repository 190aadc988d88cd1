"""Weights of a network from a file, outputs first, without the network."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np

SUFFIXES = (".keras", ".h5", ".hdf5", ".onnx", ".npz", ".safetensors")


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Floating arrays of two axes or more, ``[out, in...]``, by their names in the file.

    Raises:
        ValueError: The file has another suffix, cannot be read, or holds no such array.
    """
    path = Path(path)
    readers = {
        ".keras": _keras,
        ".h5": _hdf5,
        ".hdf5": _hdf5,
        ".onnx": _onnx,
        ".npz": _npz,
        ".safetensors": _safetensors,
    }
    if path.suffix not in readers:
        raise ValueError(f"--weights must be files {', '.join(SUFFIXES)}. Received: {path.name}")
    try:
        found = readers[path.suffix](path)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Install {error.name} to read {path.suffix}. Received: {path.name}"
        ) from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"--weights must be files that can be read. Received: {path.name} ({error})"
        ) from None
    weights = {
        name: np.ascontiguousarray(array, np.float32)
        for name, array in found.items()
        if array.ndim > 1 and np.issubdtype(array.dtype, np.floating)
    }
    if not weights:
        raise ValueError(f"--weights must hold arrays of two axes or more. Received: {path.name}")
    return weights


def _keras(path):
    with zipfile.ZipFile(path) as archive:
        return _hdf5(BytesIO(archive.read("model.weights.h5")))


def _hdf5(file):
    import h5py

    arrays = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            arrays[name] = np.asarray(item)

    with h5py.File(file, "r") as content:
        content.visititems(visit)
    return {name: _outputs_first(name, array) for name, array in arrays.items()}


def _npz(path):
    with np.load(path) as content:
        return {name: _outputs_first(name, content[name]) for name in content.files}


def _outputs_first(name, array):
    """A weight as Keras keeps it, ``[..., in, out]``, with its outputs first."""
    if "embedding" in name or array.ndim < 2:
        return array
    if "depthwise" in name:  # [height, width, in, multiplier]
        array = np.moveaxis(array, (-2, -1), (0, 1))
        return array.reshape(-1, 1, *array.shape[2:])
    return np.moveaxis(array, (-1, -2), (0, 1))


def _onnx(path):
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    turned = inputs_first(graph)
    arrays = {name: numpy_helper.to_array(t) for name, t in kept_tensors(graph).items()}
    return {
        name: np.moveaxis(array, -1, 0) if name in turned else array
        for name, array in arrays.items()
    }


def kept_tensors(graph) -> dict:
    """Tensors of an ONNX graph by the name of their value: weights, and constants."""
    constants = {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    return {tensor.name: tensor for tensor in graph.initializer} | constants


def inputs_first(graph) -> set[str]:
    """Names of the values of an ONNX graph that are matrices ``[in, out]``."""
    return {node.input[1] for node in graph.node if len(node.input) > 1 and _has_inputs_first(node)}


def _has_inputs_first(node):
    """Whether the second operand is a matrix ``[in, out]``."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not transposed)


def _safetensors(path):
    from safetensors.numpy import load_file

    return load_file(path)
