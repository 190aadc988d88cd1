"""The format is what its page says, and stays what it was."""

import hashlib
import pathlib

import numpy as np
import pytest

import keras_infobottleneck as kib
from tests.support.compressed_networks import perceptron, spread_out
from tests.support.reference_decoder import decoded

pytestmark = pytest.mark.quick

# Written when version 1 was made: drawn by unit, short, quantised with and without a posterior.
VERSION_1 = pathlib.Path(__file__).with_name("version_1.kib")
WEIGHTS = "33749996064a77e9ecbfa4fd7c2c5740386c03b09fecfa065ac29a29fe794cee"


def test_a_file_of_version_1_is_read_as_ever():
    network = kib.decompress(VERSION_1)
    content = b"".join(weight.astype("<f4").tobytes() for weight in network.get_weights())
    assert hashlib.sha256(content).hexdigest() == WEIGHTS
    assert network.name == "golden"


def agrees_with_the_page(path):
    network = kib.decompress(path)
    shapes = [tuple(weight.shape) for weight in network.weights]
    found = decoded(pathlib.Path(path).read_bytes(), shapes)
    for weight, flat in zip(network.get_weights(), found, strict=True):
        np.testing.assert_array_equal(weight.ravel(), np.array(flat, np.float32))


def test_a_reader_written_from_the_page_reads_the_same_weights(tmp_path):
    agrees_with_the_page(VERSION_1)
    path = tmp_path / "file.kib"
    for bits, beam in ((1, 4), (9, 2)):
        kib.compress(
            spread_out(perceptron()), path, seed=10**6, bits_per_block=bits, beam=beam, verbose=0
        )
        agrees_with_the_page(path)
