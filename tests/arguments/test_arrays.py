"""Refusals of arrays: kinds, shapes and ranges, without an array ever being printed whole."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.arguments import check_integers, check_numbers

FLOATS = np.array([1.0, 2.0])


def refused(error, check, *arguments, **options):
    """The sentence of a refusal, of which the form is checked."""
    with pytest.raises(error) as caught:
        check("z", *arguments, **options)
    sentence = str(caught.value)
    assert sentence.startswith("`z` must ")
    assert ". Received: z=" in sentence
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        ["a", "b"],
        [True],
        FLOATS * 1j,
        np.array([None, {}], object),
        np.array(["2020-01-01"], "M8[D]"),
        {1.0, 2.0},
        {"a": 1.0},
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_things_than_numbers_are_of_the_wrong_kind(value):
    assert "must hold numbers. " in refused(TypeError, check_numbers, value)
    assert "must hold integers. " in refused(TypeError, check_integers, value)


@pytest.mark.parametrize(
    "value",
    [
        3,
        [1, 2],
        np.arange(3, dtype=np.uint8),
        np.float16(0.5),
        tf.constant([1.0, 2.0]),
        tf.constant([1.0, 2.0], tf.bfloat16),
        keras.Variable([1.0, 2.0]),
    ],
    ids=repr,
)
def test_everything_that_holds_numbers_is_taken_in_float64(value):
    array = check_numbers("z", value)
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, np.asarray(keras.ops.cast(value, "float64")))


def test_the_type_is_kept_on_request_and_integers_keep_theirs():
    assert check_numbers("z", FLOATS.astype(np.float32), dtype=None).dtype == np.float32
    assert check_integers("z", np.arange(3, dtype=np.int8)).dtype == np.int8
    for kind in (">i8", "<i8"):
        array = check_integers("z", np.arange(3, dtype=kind))
        assert array.dtype.isnative
        assert array.tolist() == [0, 1, 2]
    assert check_numbers("z", [True, False], booleans=True, dtype=None).dtype == bool
    assert check_integers("z", np.array([True]), booleans=True).dtype == bool
    assert "integers or booleans" in refused(TypeError, check_integers, FLOATS, booleans=True)
    refused(TypeError, check_integers, FLOATS)


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        ("[points]", [(3,)], [(), (0,), (3, 1)]),
        ("[rows, columns]", [(3, 2)], [(3,), (3, 0), (0, 2), (3, 2, 1)]),
        ("[rows, columns, ...]", [(3, 2), (3, 2, 5)], [(3,), (3, 2, 0)]),
        ("[rows, 2]", [(3, 2)], [(3, 3), (2,)]),
        ("[3, ...]", [(3,), (3, 9, 9)], [(2,), ()]),
    ],
)
def test_a_shape_is_as_it_is_written(shape, good, bad):
    for sizes in good:
        assert check_numbers("z", np.ones(sizes), shape).shape == sizes
        assert check_integers("z", np.ones(sizes, int), shape).shape == sizes
    for sizes in bad:
        sentence = refused(ValueError, check_numbers, np.ones(sizes), shape)
        assert f"must have the shape {shape} and not be empty. " in sentence


def test_symbolic_tensors_are_no_numbers_yet():
    refused(TypeError, check_numbers, keras.Input((3,)), "[points]")


def test_lists_of_unequal_length_have_no_shape():
    refused(ValueError, check_numbers, [[1.0], [2.0, 3.0]])
    assert "[rows, columns]" in refused(ValueError, check_numbers, [[1], [2, 3]], "[rows, columns]")


def test_an_empty_list_is_of_any_kind():
    assert check_integers("z", []).size == check_numbers("z", ()).size == 0
    refused(ValueError, check_integers, [], "[points]")


@pytest.mark.parametrize(
    ("options", "good", "bad", "words"),
    [
        ({}, [-1e300], [math.nan, math.inf], "finite"),
        ({"finite": False}, [math.inf, -math.inf], [math.nan], "a number"),
        ({"least": 0}, [0, 1], [-1, math.nan, math.inf], "at least 0 and finite"),
        ({"least": 0, "most": 1, "open_above": True}, [0], [1, -1], "in [0, 1)"),
        ({"nan": True, "least": 0}, [math.nan, 0], [-1], "at least 0 and finite"),
    ],
)
def test_numbers_lie_in_their_range_and_the_first_that_does_not_is_told(options, good, bad, words):
    for value in good:
        check_numbers("z", [1 / 2, value], **options)
    for value in bad:
        sentence = refused(ValueError, check_numbers, np.array([1 / 2, value, 1 / 4]), **options)
        assert f"must hold numbers that are {words}. " in sentence
        assert sentence.endswith(f", with {value}" if value != 1 else ", with 1.0") or isinstance(
            value, int
        )
        refused(ValueError, check_numbers, value, **options)


def test_integers_lie_between_their_ends():
    assert check_integers("z", [3, 1], least=1, most=3).tolist() == [3, 1]
    assert "at least 0. Received: z=[3, -1, 2], with -1" in refused(
        ValueError, check_integers, [3, -1, 2], least=0
    )
    assert "at most 2" in refused(ValueError, check_integers, [3, -1, 2], most=2)


def test_increasing_numbers_grow():
    check_numbers("z", [1, 2, 3], increasing=True)
    check_numbers("z", 1.0, increasing=True)
    for value in ([1, 1], [2, 1]):
        assert "must be increasing" in refused(ValueError, check_numbers, value, increasing=True)


def test_a_mask_that_hides_entries_is_refused_and_one_that_hides_none_is_not():
    refused(ValueError, check_numbers, np.ma.masked_array([1.0, 2.0], [False, True]))
    assert check_numbers("z", np.ma.masked_array([1.0, 2.0], [False, False])).sum() == 3.0


def test_large_arrays_are_told_by_their_shape():
    sentence = refused(ValueError, check_numbers, np.full(10**6, -1.0), least=0)
    assert sentence.endswith("z=array of shape (1000000,) and dtype float64, with -1.0")
