"""Refusals of single values: the kind of the error, and one sentence that names what was given."""

import fractions
import math
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_file,
    check_flag,
    check_instance,
    check_keywords,
    check_layer,
    check_model,
    check_named_numbers,
    check_number,
    check_path,
    check_positive,
    check_price,
    check_probability,
    check_seed,
    check_text,
    check_verbose,
    described,
)

pytestmark = pytest.mark.quick


class Table:
    """Prints all of its rows, as a DataFrame of pandas does."""

    shape = (60, 3)

    def __array__(self, dtype=None, copy=None):
        return np.zeros(self.shape, dtype)

    def __repr__(self):
        return "0.5 " * 180


class Mute:
    """An object that cannot be printed."""

    def __repr__(self):
        raise RuntimeError("no words")


NO_NUMBERS = [None, "3", b"3", True, np.True_, 1j, [], [3], np.array([3]), tf.constant(3), Mute()]


def refused(error, check, *arguments, **options):
    """The sentence of a refusal, of which the form is checked."""
    with pytest.raises(error) as caught:
        check("size", *arguments, **options)
    sentence = str(caught.value)
    assert sentence.startswith("`size")
    assert ". Received: size" in sentence
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


@pytest.mark.parametrize("value", [*NO_NUMBERS, 2.5, 3.0, math.nan, fractions.Fraction(3)])
def test_a_count_is_an_integer(value):
    assert "must be an integer. " in refused(TypeError, check_count, value)


def test_a_count_lies_between_its_ends():
    assert check_count("size", np.int8(3)) == 3
    assert isinstance(check_count("size", np.int8(3)), int)
    assert (check_count("size", 0, 0), check_count("size", 7, 7, 7)) == (0, 7)
    assert "must be at least 1. " in refused(ValueError, check_count, 0)
    assert "must be at least 2. " in refused(ValueError, check_count, 1, 2)
    assert "must be at most 7. " in refused(ValueError, check_count, 8, 1, 7)
    assert str(2**63 - 1) in refused(ValueError, check_count, 10**30)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_number_is_a_real_one(value):
    assert "must be a number. " in refused(TypeError, check_number, value)


@pytest.mark.parametrize("value", [np.float16(0.5), np.int64(3), fractions.Fraction(1, 2), 2])
def test_every_real_number_is_taken_as_a_float(value):
    assert check_number("size", value) == float(value)
    assert isinstance(check_number("size", value), float)


@pytest.mark.parametrize(
    ("check", "outside", "words"),
    [
        (check_number, [math.nan, math.inf, -math.inf, 10**400, -(10**400)], "finite"),
        (check_positive, [math.nan, math.inf, 0, -1], "above 0 and finite"),
        (check_price, [math.nan, math.inf, -1e-300], "at least 0 and finite"),
        (check_probability, [math.nan, 0, 1, 2, -1], "in (0, 1)"),
    ],
)
def test_numbers_lie_in_their_range(check, outside, words):
    for value in outside:
        assert f"must be {words}. " in refused(ValueError, check, value)


@pytest.mark.parametrize(
    ("options", "inside", "outside", "words"),
    [
        ({"least": -1, "most": 1}, [-1, 1], [-1.1, 1.1], "in [-1, 1]"),
        ({"least": -1, "most": 1, "open_below": True}, [0, 1], [-1], "in (-1, 1]"),
        ({"most": 1, "open_above": True}, [0, -1e9], [1, -math.inf], "below 1 and finite"),
        ({"most": 1, "finite": False}, [1, -math.inf], [math.inf, math.nan], "at most 1"),
        ({"finite": False}, [math.inf], [math.nan], "a number"),
    ],
)
def test_the_ends_belong_to_a_range_unless_they_are_open(options, inside, outside, words):
    for value in inside:
        assert check_number("size", value, **options) == value
    for value in outside:
        assert f"must be {words}. " in refused(ValueError, check_number, value, **options)


def test_a_seed_is_none_or_an_integer_of_at_least_zero():
    assert (check_seed("size", None), check_seed("size", 0)) == (None, 0)
    for value in (1.5, "a", True, np.array([1])):
        assert "an integer or None" in refused(TypeError, check_seed, value)
    refused(ValueError, check_seed, -1)


def test_a_flag_is_true_or_false():
    assert check_flag("size", np.False_) is False
    for value in (None, 0, 1, "yes", [], np.array([True])):
        assert "True or False" in refused(TypeError, check_flag, value)


@pytest.mark.parametrize(
    ("check", "arguments"),
    [
        (check_count, ()),
        (check_number, ()),
        (check_positive, ()),
        (check_flag, ()),
        (check_text, ()),
        (check_choice, (["a"],)),
        (check_layer, ()),
        (check_path, ()),
        (check_file, ()),
        (check_instance, (dict, "a dictionary")),
    ],
)
def test_none_is_taken_where_it_is_optional_and_nowhere_else(check, arguments):
    assert check("size", None, *arguments, optional=True) is None
    refused(TypeError, check, None, *arguments)
    assert " or None. " in refused(TypeError, check, Mute(), *arguments, optional=True)


def test_a_choice_is_one_of_the_words():
    assert check_choice("size", "small", ("small", "large")) == "small"
    for value in (None, 3, ["small"], b"small"):
        assert "one of 'small', 'large'" in refused(
            TypeError, check_choice, value, ("small", "large")
        )
    assert "one of 'small'" in refused(ValueError, check_choice, "Small", ("small",))


def test_verbosity_is_a_small_integer_or_a_word():
    assert [check_verbose("size", value) for value in (0, 2, True)] == [0, 2, True]
    assert check_verbose("size", "auto", ("auto",)) == "auto"
    for value in (-1, 3):
        refused(ValueError, check_verbose, value)
    refused(TypeError, check_verbose, "auto")
    refused(ValueError, check_verbose, "loud", ("auto",))


def test_models_and_layers_are_objects_of_their_class():
    model = keras.Sequential(name="net")
    assert check_model("size", model) is check_layer("size", model) is model
    for value in (None, "net", keras.Model, keras.layers.Dense(2)):
        refused(TypeError, check_model, value)
    refused(TypeError, check_layer, keras.layers.Dense)


def test_a_file_lies_in_a_folder_that_exists(tmp_path):
    assert check_file("size", tmp_path / "a.txt") == str(tmp_path / "a.txt")
    assert check_path("size", pathlib.Path("nowhere")) == "nowhere"
    for value in (3, True, b"a", []):
        refused(TypeError, check_file, value)
        refused(TypeError, check_path, value)
    for value in ("", str(tmp_path), str(tmp_path / "none" / "a.txt")):
        refused(ValueError, check_file, value)


def test_named_numbers_are_a_mapping():
    assert check_named_numbers("size", {"a": 1, 2: np.float32(0.5)}) == {"a": 1.0, "2": 0.5}
    assert check_named_numbers("size", {"a": math.inf}, finite=False) == {"a": math.inf}
    assert check_named_numbers("size", {}, known=["a"]) == {}
    for value in (None, "a", [("a", 1)], {"a": "1"}, {"a": None}, {"a": np.ones(2)}):
        refused(TypeError, check_named_numbers, value)
    for value in ({}, {"a": math.nan}, {"a": math.inf}):
        refused(ValueError, check_named_numbers, value)
    assert "['a']=-1" in refused(ValueError, check_named_numbers, {"a": -1}, 0)
    assert "among ['a']" in refused(ValueError, check_named_numbers, {"b": 1}, known=["a"])


def test_an_unexpected_keyword_is_told_in_pythons_words():
    def outer(**options):
        check_keywords(outer, inner, options)

    def inner(data, *, colour=None):
        return data, colour

    outer(colour="red")
    for options in ({"shape": 3}, {"data": 3}):
        with pytest.raises(TypeError, match=r"^outer\(\) got an unexpected keyword argument"):
            outer(**options)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((300, 5), np.float32), "array of shape (300, 5) and dtype float32"),
        (np.array(["a", "b"]), "array of shape (2,) and dtype str32"),
        (np.array(3), "array(3)"),
        (tf.zeros([2, 2]), "array of shape (2, 2) and dtype float32"),
        (keras.Variable(np.zeros(9), name="w"), "variable 'w' of shape (9,)"),
        (keras.layers.Dense(2, name="out"), "Dense named 'out'"),
        ([np.zeros(3), 4], "list of 2: array of shape (3,) and dtype float64, 4"),
        ({"a": np.zeros(3)}, "{'a': array of shape (3,) and dtype float64}"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, ...]"),
        (Table(), "Table of shape (60, 3)"),
        (Mute(), "an object of type Mute"),
        (np.array(Mute(), object), "an object of type ndarray"),
        ("two\nlines", r"'two\nlines'"),
    ],
)
def test_values_are_described_in_a_few_words(value, words):
    assert described(value) == words


def test_long_texts_are_cut():
    assert len(described("long " * 1000)) < 140
    assert "\n" not in described(type("Lines", (), {"__repr__": lambda self: "a\n b"})())
