import gzip

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import block_decomposition_complexity, weight_compression


def test_sign_planes_of_convolutions_are_not_silently_zero():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((8, 8, 4)), keras.layers.Conv2D(8, 3)])
    result = weight_compression(model)
    kernel = model.layers[0].kernel.numpy().transpose(3, 2, 0, 1).reshape(8, -1)
    assert result.sign_bits == block_decomposition_complexity(kernel > 0)
    assert result.sign_bits > 22


def test_sizes_are_those_of_the_compressors_on_the_same_bytes():
    weights = np.random.default_rng(0).normal(size=(40, 24)).astype(np.float32)
    result = weight_compression({"w": weights, "b": weights[0]})
    assert (result.raw_bytes, result.plane_bytes) == (weights.nbytes, weights.size)
    assert result.gzip_raw == len(gzip.compress(weights.tobytes()))
    assert result.skipped == {"b": "fewer than two axes"}
    assert result.to_dict()["sign_bits"] == result.sign_bits


def test_random_weights_do_not_compress_and_repeated_ones_do():
    rng = np.random.default_rng(0)
    random = weight_compression(rng.normal(size=(64, 64))).savings()
    repeated = weight_compression(np.tile(rng.normal(size=(8, 8)), (8, 8))).savings()
    assert all(abs(random[name]) < 0.15 for name in random)
    assert all(repeated[name] > 0.6 for name in repeated)


def test_refuses_bad_input():
    with pytest.raises(ValueError, match="at least 4 x 4"):
        weight_compression(np.ones((3, 3)))
    with pytest.raises(ValueError, match="num_bits"):
        weight_compression(np.ones((8, 8)), num_bits=0)
