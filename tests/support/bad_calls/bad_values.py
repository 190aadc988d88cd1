"""Values that an argument of some kind must not have, each with the error that refuses it."""

import keras
import numpy as np

NAN, INF = float("nan"), float("inf")
LARGE = np.arange(100_000.0)


class Mute:
    """An object of somebody's own, which cannot be printed."""

    def __repr__(self):
        raise RuntimeError("no words")


def kinds(*values):
    """Each refused by a TypeError."""
    return [(value, TypeError) for value in values]


def values(*values):
    """Each refused by a ValueError."""
    return [(value, ValueError) for value in values]


def count(least=1):
    """Of an integer."""
    return kinds(2.5, "3", True, [3], LARGE) + values(least - 1, 10**30)


NUMBER = kinds("3", True, [0.5], 1j, LARGE) + values(NAN, INF)
PRICE = NUMBER + values(-1)
POSITIVE = NUMBER + values(0, -1)
PROBABILITY = POSITIVE + values(1)
SEED = kinds(1.5, "a", True) + values(-1)
FLAG = kinds(None, 1, "yes", [])
CHOICE = kinds(3, ["a"], Mute()) + values("nonsense")
TEXT = kinds(3, ["a"], Mute())
VERBOSE = kinds("loud", 0.5, None) + values(-1)
VERBOSE_OR_AUTO = VERBOSE[1:] + values("loud")
MODEL = kinds(None, "model", 3, keras.Model, Mute())
LAYER = kinds("layer", 3, keras.layers.Dense, Mute())
LAYER_OF = kinds(None, 1.5, True, LARGE, Mute()) + values("absent", 99, keras.layers.Dense(1))
OBJECT = kinds(None, "text", 3, LARGE, Mute())
PATH = kinds(None, 3, True, ["a"]) + values("", "/nowhere/at all/file")
LIKELIHOOD = kinds(3, [], True, dict) + values("nonsense")
SCALE = kinds(None, True, [1.0], 1j) + values("best", 0, -1, NAN, INF)
AXES = kinds(3, "ax", [], Mute())
MAPPING = kinds("text", 3, ["a"], LARGE)
NAMED_NUMBERS = [*MAPPING, *kinds({"a": "1"}, {"a": LARGE}), *values({"a": NAN})]
BUDGET = count()


def floats(*axes, nan=True):
    """Of an array of real numbers with these axes."""
    ones = np.ones([4] * len(axes))
    other_rank = values(np.ones([2] * (len(axes) + 2))) if axes else []
    return [
        *kinds(None, "text", ["a"], ones * 1j, {"a": 1}, Mute(), [None]),
        *other_rank,
        *(values(ones * NAN, ones * INF) if nan else []),
    ]


def integers(*axes):
    """Of an array of integers with these axes."""
    ones = np.ones([4] * len(axes))
    return [
        *kinds(None, "text", ["a"], ones / 2, ones * NAN, ones * 1j, Mute(), [None]),
        *values(np.ones([2] * (len(axes) + 2), int), -ones.astype(int)),
    ]
