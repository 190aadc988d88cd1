"""What an array of data may be, and the sentence on what it may not."""

import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.data.elements import Asked

pytestmark = pytest.mark.quick

X = np.arange(12.0, dtype=np.float32).reshape(6, 2)
Y = np.arange(6)


class Frame:
    """What a table of another library is to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.tolist(),
        [list(row) for row in X],  # of NumPy's numbers
        tf.constant(X),
        tf.Variable(X),
        np.ma.masked_array(X),  # which masks nothing
        Frame(X),
        X.astype(np.float16),
        tf.cast(X, tf.bfloat16).numpy(),
        X.astype(np.uint8),
    ],
    ids=lambda x: f"{type(x).__name__} {getattr(x, 'dtype', '')}",
)
def test_what_stands_for_an_array_is_one(x):
    found, labels = Asked().arrays((x, Y))
    np.testing.assert_array_equal(np.asarray(found, np.float32), X)
    np.testing.assert_array_equal(labels, Y)


@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "i8", "u1", "?"])
def test_plain_rows_are_taken_as_they_are(kind):
    x = X.astype(kind)
    found, labels = Asked().arrays((x, Y))
    assert found is x
    assert labels is Y


@pytest.mark.parametrize(
    ("element", "error", "words"),
    [
        ((X, Y[:-1]), ValueError, "the same examples.* Received: 5 and 6 examples"),
        ((X[:0], Y), ValueError, "the same examples.* Received: 0 and 6 examples"),
        ((X, np.array(3)), ValueError, "an axis of examples"),
        ((np.array(3.0), Y), ValueError, "an axis of examples"),
        ((np.array(3.0), np.array(3)), ValueError, "an axis of examples"),
        ((np.ma.masked_less(X, 3), Y), ValueError, "not masked arrays"),
        ((X, np.ma.masked_less(Y, 3)), ValueError, "not masked arrays"),
        ((X, Y.astype(complex)), TypeError, "not complex numbers"),
        ((X, Y.astype("U1")), TypeError, "labels that are numbers"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (value if type(value) is str else "pair"),
)
def test_what_is_almost_plain_rows_is_refused_all_the_same(element, error, words):
    with pytest.raises(error, match=words):
        Asked().arrays(element)


def test_labels_of_16_bits_and_those_that_mask_nothing_are_taken():
    bfloat = tf.cast(Y, tf.bfloat16).numpy()
    for labels in (bfloat, np.ma.masked_array(Y)):
        found = Asked().arrays((X, labels))[1]
        assert found.dtype == labels.dtype
        np.testing.assert_array_equal(np.asarray(found, np.int64), Y)
    assert not isinstance(Asked().arrays((X, np.ma.masked_array(Y)))[1], np.ma.MaskedArray)


def test_text_is_an_array_of_text_whatever_holds_it():
    words = ["a b", "c"]
    asked = Asked(needs_labels=False)
    for text in (words, np.array(words), np.array(words, object), tf.constant(words)):
        found, _ = asked.arrays(text)
        assert [each.decode() for each in tf.constant(found).numpy()] == words


def test_structures_are_kept():
    x, y = Asked().arrays(({"a": X, "b": [X, X]}, (Y, Y)))
    assert list(x) == ["a", "b"]
    assert len(x["b"]) == len(y) == 2
    for element in ((X,), (X, None), X, (X, None, None)):
        assert Asked(needs_labels=False).arrays(element)[1] == ()


class Table:
    """Columns of several types, as a DataFrame of pandas: it has no type of its own."""

    shape = (6, 2)

    def __array__(self, dtype=None, copy=None):
        return np.array([[1.5, "a"]] * 6, object)


NOT_ARRAYS = {
    "a table": (Table(), TypeError, r"other objects.*Table of shape \(6, 2\) and dtype object"),
    "complex": (X + 1j, TypeError, "complex numbers"),
    "complex tensor": (tf.complex(X, X), TypeError, "complex numbers"),
    "complex list": ((X + 1j).tolist(), TypeError, "complex numbers"),
    "masked": (np.ma.masked_less(X, 3), ValueError, "masked arrays.*filled"),
    "masked text": (np.ma.masked_array(["a"] * 6, [1, 0, 0, 0, 0, 0]), ValueError, "masked"),
    "ragged tensor": (tf.ragged.constant([[1.0], [2.0, 3.0]] * 3), TypeError, "ragged arrays"),
    "ragged lists": ([[1.0], [2.0, 3.0]] * 3, TypeError, "ragged arrays"),
    "sparse tensor": (tf.sparse.from_dense(X), TypeError, "sparse arrays"),
    "dates": (Y.astype("datetime64[D]"), TypeError, "dates"),
    "spans of time": (Y.astype("timedelta64[s]"), TypeError, "dates"),
    "objects": (np.array([{}] * 6), TypeError, "other objects"),
    "numbers as objects": (X.astype(object), TypeError, "other objects"),
    "records": (np.zeros(6, [("a", "f4"), ("b", "i4")]), TypeError, "records.*each field"),
    "raw bytes": (np.zeros(6, "V3"), TypeError, "other objects"),
}


@pytest.mark.parametrize("name", NOT_ARRAYS)
@pytest.mark.parametrize("place", ["inputs", "labels", "one of several inputs"])
def test_what_is_no_dense_array_of_numbers_is_named(name, place):
    array, error, words = NOT_ARRAYS[name]
    element = {
        "inputs": (array, Y),
        "labels": (X, array),
        "one of several inputs": ({"a": X, "b": array}, Y),
    }[place]
    with pytest.raises(error, match=rf"`x` must hold dense arrays.*not {words}") as caught:
        Asked("x").arrays(element)
    assert " Received: " in str(caught.value)


def test_a_sparse_matrix_of_scipy_is_named():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"not sparse arrays.* Received: "):
        Asked().arrays((sparse.csr_matrix(X), Y))


def test_a_refusal_says_what_the_model_takes():
    with pytest.raises(TypeError, match=r"the model takes \[batch, 2\] of float32. Received: "):
        Asked(takes="[batch, 2] of float32").arrays((X + 1j, Y))


@pytest.mark.parametrize(
    ("element", "error", "words"),
    [
        (None, TypeError, "PyDataset"),
        ("mnist", TypeError, "PyDataset"),
        (3, TypeError, "PyDataset"),
        (np.float32(3), TypeError, "PyDataset"),
        (lambda: X, TypeError, "PyDataset"),
        (iter([(X, Y)]), TypeError, "generator or iterator"),
        (zip(X, Y, strict=True), TypeError, "generator or iterator"),
        ({X.tobytes()}, TypeError, "other objects"),
        ((), ValueError, "several inputs"),
        ((X, X, X, Y), ValueError, "a tuple of 4"),
        ((X, Y, np.ones(6)), ValueError, "without sample weights.* each example once"),
        ((X, Y, [1.0] * 6), ValueError, "without sample weights"),
        (X, ValueError, "labels are used.* Received: inputs without labels"),
        ([X, Y], ValueError, "labels are used.* Received: a list of 2 inputs without labels"),
        ((X, None), ValueError, "labels are used"),
        ((X, Y.astype(str)), TypeError, "labels that are numbers"),
        ((X, tf.constant(["a"] * 6)), TypeError, "labels that are numbers"),
        ((X, Y[:5]), ValueError, "the same examples.*5 and 6"),
        (({"a": X, "b": X[:2]}, Y), ValueError, "the same examples.*2 and 6"),
        (({"a": X, "b": np.float32(1)}, Y), ValueError, "an axis of examples"),
        (([], Y), ValueError, "at least one example"),
    ],
)
def test_what_is_no_pair_of_inputs_and_labels_is_refused_in_a_sentence(element, error, words):
    with pytest.raises(error, match=f"`data` must .*{words}") as refused:
        Asked().arrays(element)
    text = str(refused.value)
    assert "Received: " in text
    assert "\n" not in text
    assert len(text) < 400


def test_labels_that_are_not_used_may_be_text():
    x, y = Asked(needs_labels=False).arrays((X, Y.astype(str)))
    assert len(x) == len(y) == 6


@pytest.mark.parametrize(
    ("dataset", "error", "words"),
    [
        (tf.data.Dataset.from_tensors((X + 1j, Y)), TypeError, "complex numbers"),
        (
            tf.data.Dataset.from_tensors((tf.ragged.constant([[1.0], []]), Y[:2])),
            TypeError,
            "ragged arrays",
        ),
        (tf.data.Dataset.from_tensors((tf.sparse.from_dense(X), Y)), TypeError, "sparse arrays"),
        (tf.data.Dataset.from_tensors((X, Y, np.ones(6))), ValueError, "sample weights"),
        (tf.data.Dataset.from_tensors((X, None)), ValueError, "labels are used"),
        (tf.data.Dataset.from_tensors((X, Y.astype(str))), TypeError, "labels that are numbers"),
        (tf.data.Dataset.from_tensors((X, Y)).window(2), TypeError, "other objects"),
        (tf.data.Dataset.from_tensor_slices((X, Y)), ValueError, r"`.batch\(n\)`"),
    ],
)
def test_a_dataset_is_refused_before_it_is_read(dataset, error, words):
    with pytest.raises(error, match=f"`data` must .*{words}.* Received: "):
        Asked().check_spec(dataset.element_spec)


def test_a_dataset_may_say_that_there_is_nothing_in_the_place_of_labels_or_weights():
    Asked(needs_labels=False).check_spec(tf.data.Dataset.from_tensors((X, None)).element_spec)
    Asked().check_spec(tf.data.Dataset.from_tensors((X, Y, None)).element_spec)
