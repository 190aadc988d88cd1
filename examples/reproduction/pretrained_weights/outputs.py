"""What fewer bits do to the outputs of a network from a file that holds the whole of it."""

from pathlib import Path

import keras
import numpy as np

import keras_infobottleneck as kib
from reproduction.pretrained_weights.reading import inputs_first, kept_tensors

BITS = range(1, 9)
# Of axes that the file leaves open, behind that of the examples, the first that a network takes.
NUM_INPUTS = 4
OPEN_SIZES = ((48, 192), (96, 192), (10_400, 10_400))


def error_at_bits(path: str | Path, seed: int) -> dict[int, float] | None:
    """Relative error of all outputs at each number of bits; None where there is no network.

    Kernels, in ONNX the second operands of convolutions and products, are quantised one output
    channel at a time. Inputs are standard normal, or bytes drawn uniformly where the network takes
    integers.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        return _errors(*_onnx(path), seed)
    if path.suffix in (".keras", ".h5", ".hdf5"):
        try:
            model = keras.models.load_model(path, compile=False)
        except (ValueError, TypeError, OSError, KeyError):
            return None  # weights alone, or layers that this version of Keras does not have
        shape = [None if size is None else int(size) for size in model.input_shape[1:]]

        def run(bits, x):
            network = model if bits is None else kib.estimators.quantize_to(model, bits)
            return np.ravel(network.predict(x, verbose=0))

        return _errors(run, shape, "float32", seed)
    return None


def _onnx(path):
    """A function of bits and inputs, and the shape and type of the inputs."""
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    model = onnx.load(path)
    turned = inputs_first(model.graph)
    products = ("Conv", "ConvTranspose", "Gemm", "MatMul")
    kernels = {node.input[1] for node in model.graph.node if node.op_type in products}

    def run(bits, x):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        for name, tensor in kept_tensors(changed.graph).items() if bits else ():
            array = numpy_helper.to_array(tensor)
            is_kernel = name in kernels and array.ndim > 1
            if not is_kernel or not np.issubdtype(array.dtype, np.floating):
                continue
            is_turned = name in turned
            coarse = rounded(np.moveaxis(array, -1, 0) if is_turned else array, bits)
            coarse = np.moveaxis(coarse, 0, -1) if is_turned else coarse
            tensor.CopyFrom(numpy_helper.from_array(coarse.astype(array.dtype), tensor.name))
        session = onnxruntime.InferenceSession(
            changed.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return np.concatenate([np.ravel(y) for y in session.run(None, {given.name: x})])

    given = model.graph.input[0]
    kind = given.type.tensor_type
    shape = [dim.dim_value or None for dim in kind.shape.dim][1:]
    return run, shape, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name


def rounded(array: np.ndarray, bits: int) -> np.ndarray:
    """Values of a weight, outputs first, at so many bits for each output, as `quantize_to` has."""
    rows = array.reshape(len(array), -1).astype(float)
    if bits == 1:
        found = np.sign(rows) * np.abs(rows).mean(1, keepdims=True)
    else:
        scale = np.abs(rows).max(1, keepdims=True) / (2 ** (bits - 1) - 1)
        scale[scale == 0] = 1.0
        found = scale * np.rint(rows / scale)
    return found.reshape(array.shape)


def _errors(run, shape, dtype, seed):
    """Errors at all bits, with the first of the open sizes that the network takes."""
    random = np.random.default_rng(seed)
    for sizes in OPEN_SIZES:
        left = iter(sizes)
        given = [NUM_INPUTS, *(next(left) if size is None else size for size in shape)]
        integers = np.issubdtype(np.dtype(dtype), np.integer)
        drawn = random.integers(0, 256, given) if integers else random.normal(size=given)
        x = drawn.astype(dtype)
        try:
            exact = run(None, x)
        except Exception:  # runtimes raise classes of their own for shapes they do not take
            continue
        if exact.size and np.linalg.norm(exact) > 0:
            norm = np.linalg.norm(exact)
            return {b: float(np.linalg.norm(run(b, x) - exact) / norm) for b in BITS}
    return None
