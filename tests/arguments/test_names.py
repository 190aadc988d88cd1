"""Names out of a list: what is taken, and what a refusal lists."""

import numpy as np
import pytest

from keras_infobottleneck.arguments import check_names


def test_names_are_known_and_there_once():
    assert check_names("size", {"b"}, ["a", "b"], "letters") == ["b"]
    for value in (None, "a", 3, [3], {"a": 1}, np.array(["a"])):
        with pytest.raises(TypeError, match="names of letters"):
            check_names("size", value, ["a", "b"], "letters")
    for value in ([], ["c"], ["a", "a"]):
        with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
            check_names("size", value, ["a", "b"], "letters")


def test_a_refusal_lists_every_name_or_those_that_are_like():
    parts = [f"part_{number}" for number in range(12)]
    with pytest.raises(ValueError, match="Received: include=") as refused:
        check_names("include", ["part_13"], parts, "parts")
    assert all(repr(part) in str(refused.value) for part in parts)
    layers = [f"block{number}_conv" for number in range(400)]
    with pytest.raises(ValueError, match="400 names, such as") as refused:
        check_names("layers", ["blok17_conv"], layers, "the model's layers")
    assert "'block17_conv'" in str(refused.value)
    assert len(str(refused.value)) < 300
    with pytest.raises(ValueError, match="400 names, the first of which is 'block0_conv'"):
        check_names("layers", ["zzz"], layers, "the model's layers")
