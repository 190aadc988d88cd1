"""Constrain, measure and show the information in Keras networks.

Noise is how a network pays for information: noise on the activations makes it pay to keep
information about its input, noise on the weights to keep information about its training set.
Information is in nats; names ending in ``_bits`` are in bits.
"""

import os

BACKEND_SENTENCE = (
    "keras_infobottleneck needs the TensorFlow backend of Keras; set KERAS_BACKEND=tensorflow. "
    "Received: backend={!r}"
)

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    # Before Keras is imported: it would fail on a backend that is not installed.
    raise ImportError(BACKEND_SENTENCE.format(os.environ["KERAS_BACKEND"]))

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(BACKEND_SENTENCE.format(keras.backend.backend()))

from keras_infobottleneck import callbacks, distributions, estimators, layers, models, plots
from keras_infobottleneck.auditing import InformationReport, audit
from keras_infobottleneck.compression.compressing import compress
from keras_infobottleneck.compression.decompressing import decompress
from keras_infobottleneck.estimators.information.uncertainty import decompose_uncertainty
from keras_infobottleneck.forgetting.outcome import Forgetting
from keras_infobottleneck.forgetting.scrub import forget
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel
from keras_infobottleneck.models.conversion import (
    make_deterministic,
    make_variational,
)
from keras_infobottleneck.models.recalibration import recalibrate_batch_normalization
from keras_infobottleneck.sweeping.beta_sweep import BetaSweep
from keras_infobottleneck.sweeping.sweep import sweep_beta

__version__ = "0.1.0"

__all__ = [
    "BetaSweep",
    "Forgetting",
    "InformationBottleneckModel",
    "InformationReport",
    "__version__",
    "audit",
    "callbacks",
    "compress",
    "decompose_uncertainty",
    "decompress",
    "distributions",
    "estimators",
    "forget",
    "layers",
    "make_deterministic",
    "make_variational",
    "models",
    "plots",
    "recalibrate_batch_normalization",
    "sweep_beta",
]


def __dir__() -> list[str]:
    """Lists the public names only; other names that this file imports are internal."""
    return __all__
