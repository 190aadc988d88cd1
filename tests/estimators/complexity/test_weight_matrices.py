import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators.complexity.weight_matrices import weight_matrices
from keras_infobottleneck.models import RestrictedBoltzmannMachine


def kernel_rows(layer, input_shape, name="kernel"):
    """The layer's matrix and its kernel as an array."""
    model = keras.Sequential([keras.layers.Input(input_shape), layer])
    matrices, _ = weight_matrices(model)
    (matrix,) = [m for m in matrices if m.path.endswith(name)]
    np.testing.assert_array_equal(matrix.to_tensor(matrix.values()), matrix.tensor.numpy())
    return matrix.values(), matrix.tensor.numpy()


def test_dense_is_outputs_by_inputs():
    rows, kernel = kernel_rows(keras.layers.Dense(5), (7,))
    np.testing.assert_array_equal(rows, kernel.T)


def test_convolution_keeps_the_positions_of_an_input_channel_together():
    rows, kernel = kernel_rows(keras.layers.Conv2D(5, (2, 3)), (8, 8, 4))
    assert rows.shape == (5, 4 * 2 * 3)
    np.testing.assert_array_equal(rows[3].reshape(4, 2, 3)[1], kernel[:, :, 1, 3])


def test_grouped_and_one_dimensional_convolutions():
    rows, kernel = kernel_rows(keras.layers.Conv1D(6, 3, groups=2), (8, 4))
    np.testing.assert_array_equal(rows[5].reshape(2, 3)[1], kernel[:, 1, 5])


def test_transposed_convolution_has_outputs_by_rows():
    rows, kernel = kernel_rows(keras.layers.Conv2DTranspose(5, 3), (8, 8, 4))
    np.testing.assert_array_equal(rows[2].reshape(4, 3, 3)[1], kernel[:, :, 2, 1])


def test_depthwise_convolution_has_a_row_for_each_output():
    layer = keras.layers.DepthwiseConv2D(3, depth_multiplier=2)
    rows, kernel = kernel_rows(layer, (8, 8, 4))
    assert rows.shape == (8, 9)
    np.testing.assert_array_equal(rows[2 * 3 + 1].reshape(3, 3), kernel[:, :, 3, 1])


def test_separable_convolution_has_both_kernels():
    rows, kernel = kernel_rows(keras.layers.SeparableConv2D(6, 3), (8, 8, 4), "depthwise_kernel")
    np.testing.assert_array_equal(rows[2].reshape(3, 3), kernel[:, :, 2, 0])
    rows, kernel = kernel_rows(keras.layers.SeparableConv2D(6, 3), (8, 8, 4), "pointwise_kernel")
    np.testing.assert_array_equal(rows, kernel[0, 0].T)


def test_einsum_rows_are_the_axes_that_reach_the_output():
    layer = keras.layers.EinsumDense("...ab,bacd->...cd", output_shape=(5, 2))
    rows, kernel = kernel_rows(layer, (3, 4))
    np.testing.assert_array_equal(rows, kernel.transpose(2, 3, 0, 1).reshape(10, 12))


def test_embedding_keeps_its_shape():
    rows, kernel = kernel_rows(keras.layers.Embedding(11, 5), (3,), "embeddings")
    np.testing.assert_array_equal(rows, kernel)


def test_recurrent_and_attention_kernels_without_their_biases():
    inputs = keras.Input((6, 8))
    outputs = keras.layers.MultiHeadAttention(2, 4)(inputs, inputs)
    model = keras.Model(inputs, keras.layers.Bidirectional(keras.layers.GRU(5))(outputs))
    matrices, skipped = weight_matrices(model)
    assert [m.shape for m in matrices] == [(8, 8)] * 4 + [(15, 8), (15, 5)] * 2
    assert len(skipped) == 6
    assert "a bias" in skipped.values()


class Block(keras.layers.Layer):
    """A custom layer that holds others."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def test_nested_shared_and_frozen_layers_count_once():
    shared = keras.layers.EinsumDense("abc,dc->abd", output_shape=(None, 6))
    inputs = keras.Input((3, 6))
    inner = keras.Sequential([keras.layers.Input((3, 6)), Block(shared)])
    outputs = keras.layers.BatchNormalization()(shared(inner(inputs)))
    model = keras.Model(inputs, outputs)
    shared.trainable = False
    matrices, skipped = weight_matrices(model)
    assert len(matrices) == 1
    np.testing.assert_array_equal(matrices[0].values(), shared.kernel.numpy())
    assert len(skipped) == 4


def test_normalisation_of_rank_two_and_integer_weights_are_left_out():
    class Counter(keras.layers.Layer):
        def build(self, shape):
            self.count = self.add_weight(shape=(5, 5), dtype="int32", name="count", trainable=False)

        def call(self, x):
            return x

    layers = [keras.layers.LayerNormalization(axis=[1, 2]), Counter(), keras.layers.Dense(5)]
    matrices, skipped = weight_matrices(keras.Sequential([keras.layers.Input((4, 5)), *layers]))
    assert len(matrices) == 1
    reasons = sorted(skipped.values())
    assert reasons == [
        "fewer than two axes",
        "not floating point: int32",
        "part of a normalisation",
        "part of a normalisation",
    ]


def test_chains_of_a_boltzmann_machine_are_left_out_and_its_kernel_stays():
    machine = RestrictedBoltzmannMachine(3, persistent=True, num_chains=5)
    machine.build((None, 4))
    matrices, skipped = weight_matrices(machine)
    assert [(matrix.path.split("/")[-1], matrix.shape) for matrix in matrices] == [
        ("kernel", (3, 4))
    ]
    (reason,) = [why for path, why in skipped.items() if path.endswith("chains")]
    assert reason == "states of the chains of a Boltzmann machine"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_floating_types_are_exact(dtype):
    layer = keras.layers.Dense(5, dtype=dtype)
    model = keras.Sequential([keras.layers.Input((6,), dtype=dtype), layer])
    expected = keras.ops.convert_to_numpy(keras.ops.cast(layer.kernel, "float64")).T
    np.testing.assert_array_equal(weight_matrices(model)[0][0].values(), expected)


def test_layers_of_a_subclassed_model_that_share_a_name_are_all_kept():
    class Twins(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(4, name="twin")
            self.second = keras.layers.Dense(4, name="twin")

        def call(self, x):
            return self.second(self.first(x))

    model = Twins()
    model(np.zeros((1, 4), "float32"))
    matrices, skipped = weight_matrices(model)
    assert len({m.path for m in matrices}) == 2
    assert len(skipped) == 2


def small_network(*layers, shape):
    return keras.Sequential([keras.layers.Input(shape), *layers])


@pytest.mark.parametrize(
    "model",
    [
        lambda: small_network(keras.layers.Dense(9), keras.layers.Dense(5), shape=(7,)),
        lambda: small_network(
            keras.layers.Conv2D(5, (3, 4)), keras.layers.BatchNormalization(), shape=(8, 8, 4)
        ),
        lambda: small_network(keras.layers.LSTM(6), keras.layers.Dense(8), shape=(5, 4)),
        # A square kernel does not tell; the others of the list do.
        lambda: small_network(keras.layers.Dense(7), keras.layers.Dense(9), shape=(7,)),
    ],
)
def test_a_list_of_keras_weights_is_what_the_model_is(model):
    model = model()
    of_model, _ = weight_matrices(model)
    of_list, _ = weight_matrices(model.get_weights())
    assert len(of_model) == len(of_list) > 0
    for mine, its in zip(of_model, of_list, strict=True):
        np.testing.assert_array_equal(mine.values(), its.values())


def test_a_list_whose_outputs_come_first_is_taken_so():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype("float32") for shape in ((9, 7), (9,), (5, 9), (5,))]
    for matrix, array in zip(weight_matrices(arrays)[0], arrays[::2], strict=True):
        np.testing.assert_array_equal(matrix.values(), array)
    # Without biases nothing tells, and the first axis is the output.
    (matrix,), _ = weight_matrices(arrays[:1])
    np.testing.assert_array_equal(matrix.values(), arrays[0])
    (matrix,), _ = weight_matrices(arrays[:1], layout="keras")
    np.testing.assert_array_equal(matrix.values(), arrays[0].T)


@pytest.mark.parametrize(
    "shapes", [((6, 6), (6,)), ((9, 7), (9,), (9, 7), (7,)), ((9, 7), (4,))], ids=str
)
def test_a_list_whose_biases_do_not_tell_is_asked_about(shapes):
    arrays = [np.ones(shape, "float32") for shape in shapes]
    with pytest.raises(ValueError, match=r"`layout` must say .* Received: arrays of shapes"):
        weight_matrices(arrays)
    assert len(weight_matrices(arrays, layout="keras")[0]) == len(shapes) // 2


def test_a_layout_is_one_of_two_and_not_for_models():
    model = small_network(keras.layers.Dense(9), shape=(7,))
    with pytest.raises(ValueError, match=r"for arrays.*Received: layout='keras'"):
        weight_matrices(model, layout="keras")
    with pytest.raises(ValueError, match="`layout` must be one of"):
        weight_matrices(model.get_weights(), layout="torch")


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_arrays_of_another_byte_order_are_those_of_the_native_one(kind):
    array = np.random.default_rng(0).normal(size=(5, 4)).astype(kind)
    for order in "<>":
        (matrix,), _ = weight_matrices(array.astype(order + kind))
        np.testing.assert_array_equal(matrix.values(), array)
        assert matrix.values().dtype == (np.float64 if kind == "f8" else np.float32)
