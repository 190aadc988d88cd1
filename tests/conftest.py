"""One place for what every test needs: quiet TensorFlow and fixed seeds."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

import keras_infobottleneck  # noqa: F401  so that what it imports is not collected either

gc.freeze()  # a full collection walks everything that TensorFlow imports: a tenth of the time


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def fresh_session():
    yield
    keras.backend.clear_session()  # slow: once for each file, not for each test
