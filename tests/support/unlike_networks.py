"""Examples for networks that are as unlike each other as users' are, and how they are compiled."""

import keras
import numpy as np

COUNT = 40
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(COUNT, 5)).astype("float32")
LABELS = RANDOM.integers(3, size=COUNT)
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# Of what an audit takes most time for.
FEW_EXAMPLES = {"effective": 4}


def compiled(model, loss=LOGITS):
    model.compile("sgd", loss)
    return model
