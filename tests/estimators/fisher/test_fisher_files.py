"""Files of Fisher matrices: all that was written comes back, and nothing else is taken."""

import os

import keras
import numpy as np
import pytest
from keras import layers

from keras_infobottleneck.estimators import (
    FisherInformation,
    fisher_information,
    information_in_weights,
)
from keras_infobottleneck.introspection.contents import renumbered
from tests.support.damaged_archives import damaged
from tests.support.small_classifiers import IMAGES, LOGITS, POINTS, classifier, dense_classifier

STRUCTURES = ("diagonal", "kronecker", "dense", "gram")
REFUSAL = (
    r"^`path` must be a file written by `FisherInformation\.to_npz`\. Received: path='[^\n]*', "
    r"[^\n]+$"
)


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Structure to the arrays of a file of it."""
    folder, found = tmp_path_factory.mktemp("files"), {}
    for structure in STRUCTURES:
        fisher_information(classifier(), IMAGES, structure=structure, **LOGITS).to_npz(
            folder / "fisher.npz"
        )
        with np.load(folder / "fisher.npz") as file:
            found[structure] = dict(file)
    return found


def refused(path):
    with pytest.raises(ValueError, match=REFUSAL) as error:
        FisherInformation.from_npz(path)
    assert repr(os.fspath(path)) in str(error.value)


def test_a_damaged_file_is_one_sentence(contents, tmp_path):
    path = tmp_path / "fisher.npz"
    for structure, name in (("diagonal", "values_0"), ("kronecker", "order_0")):
        whole, wrong = damaged(contents[structure], name)
        path.write_bytes(whole)
        assert FisherInformation.from_npz(path).structure == structure
        for content in wrong.values():
            path.write_bytes(content)
            refused(path)
    refused(tmp_path)


def changed(array, **places):
    array = array.copy()
    for place, value in places.items():
        array.reshape(-1)[int(place.removeprefix("at"))] = value
    return array


# Of every structure: a field, and what stands in its place.
FIELDS = {
    "a structure that is none": ("structure", lambda a: "sparse"),
    "a structure that no file holds": ("structure", lambda a: "implicit"),
    "two structures": ("structure", lambda a: np.array(["diagonal", "dense"])),
    "a number for a structure": ("structure", lambda a: 3),
    "labels of an unknown mode": ("labels", lambda a: "guessed"),
    "labels that are a number": ("labels", lambda a: 1),
    "negative examples": ("num_examples", lambda a: -11),
    "no examples": ("num_examples", lambda a: 0),
    "examples in parts": ("num_examples", lambda a: 11.5),
    "examples that are a float": ("num_examples", lambda a: 11.0),
    "examples that are true": ("num_examples", lambda a: True),
    "examples in a list": ("num_examples", lambda a: [11]),
    "examples in words": ("num_examples", lambda a: "11"),
    "examples that are a time": ("num_examples", lambda a: np.timedelta64(11, "s")),
    "a negative error": ("standard_error", lambda a: -0.1),
    "an infinite error": ("standard_error", lambda a: np.inf),
    "a complex error": ("standard_error", lambda a: 1j),
    "an error in words": ("standard_error", lambda a: "none"),
    "a precision that is none": ("precision", lambda a: "single"),
    "draws of the half of an example": ("draws", lambda a: a + 0.5),
    "draws without a count": ("draws", lambda a: np.zeros((1, 2), np.int64)),
    "draws in a row": ("draws", lambda a: np.array([0, 0, 11])),
    "draws of no examples": ("draws", lambda a: np.array([[0, 0, 0]])),
    "draws of a negative seed": ("draws", lambda a: np.array([[-1, 0, 11]])),
    "draws of more examples than there are": ("draws", lambda a: np.array([[0, 0, 12]])),
    "draws that are there twice": ("draws", lambda a: np.array([[0, 0, 5], [0, 4, 5]])),
    "draws out of order": ("draws", lambda a: np.array([[1, 0, 5], [0, 0, 5]])),
    "fewer paths": ("paths", lambda a: a[:-1]),
    "more paths": ("paths", lambda a: np.append(a, "more")),
    "one path twice": ("paths", lambda a: np.append(a[:-1], a[0])),
    "paths that are numbers": ("paths", lambda a: np.arange(len(a))),
    "no paths": ("paths", lambda a: a[:0]),
    "fewer shapes": ("shapes", lambda a: a[:-1]),
    "other shapes": ("shapes", lambda a: np.append(a[:-1], "7")),
    "a negative shape": ("shapes", lambda a: np.append(a[:-1], "-3")),
    "a shape of nothing": ("shapes", lambda a: np.append(a[:-1], "0")),
    "a shape in words": ("shapes", lambda a: np.append(a[:-1], "three")),
    "a shape of a thousand digits": ("shapes", lambda a: np.append(a[:-1], "9" * 5000)),
    "shapes that are numbers": ("shapes", lambda a: np.arange(len(a))),
    "a later format": ("format", lambda a: a + 1),
    "a format that is none": ("format", lambda a: "new"),
    "more than there should be": ("notes", lambda a: "mine"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_field_that_cannot_be_is_one_sentence(case, contents, tmp_path):
    name, spoil = FIELDS[case]
    for arrays in contents.values():
        np.savez(tmp_path / "fisher.npz", **{**arrays, name: spoil(arrays.get(name))})
        refused(tmp_path / "fisher.npz")


def test_a_field_that_is_missing_is_one_sentence(contents, tmp_path):
    for arrays in contents.values():
        for name in arrays.keys() - {"format"}:
            np.savez(tmp_path / "fisher.npz", **{k: v for k, v in arrays.items() if k != name})
            refused(tmp_path / "fisher.npz")


# Of any array of floats.
NUMBERS = {
    "NaN": lambda a: changed(a, at0=np.nan),
    "infinity": lambda a: changed(a, at0=np.inf),
    "complex numbers": lambda a: a.astype("c8"),
    "integers": lambda a: a.astype("i4"),
    "half precision": lambda a: a.astype("f2"),
    "words": lambda a: a.astype("U8"),
    "an axis less": lambda a: a[0],
    "an axis more": lambda a: a[None],
    "an entry less": lambda a: a[..., :-1],
    "an entry more": lambda a: np.concatenate([a, a[..., :1]], -1),
    "nothing": lambda a: a[:0],
}
# By structure: an array, and what it cannot be.
ARRAYS = {
    "diagonal": {"values_1": {"negative values": lambda a: changed(a, at1=-1e-6)}},
    "dense": {
        "matrix": {
            "an asymmetric matrix": lambda a: changed(a, at1=a.max()),
            "a negative diagonal": lambda a: changed(a, at0=-1.0),
        }
    },
    "gram": {"rows": {"fewer rows than examples": lambda a: a[:3]}},
    "kronecker": {
        "inputs_0": {
            "an asymmetric factor": lambda a: changed(a, at1=a.max()),
            "a negative diagonal": lambda a: changed(a, at0=-1.0),
        },
        "outputs_0": {"a negative diagonal": lambda a: changed(a, at0=-1.0)},
    },
}
BLOCKS = {
    "a kernel that is not there": ("block_0", lambda a: changed(a, at0=99)),
    "a kernel before the first": ("block_0", lambda a: changed(a, at0=-1)),
    "a bias that is not there": ("block_0", lambda a: changed(a, at1=99)),
    "a bias that is the kernel": ("block_0", lambda a: changed(a, at1=a[0])),
    "no bias where there is one": ("block_0", lambda a: changed(a, at1=-1)),
    "a block of three": ("block_0", lambda a: np.append(a, 0)),
    "a block in floats": ("block_0", lambda a: a.astype("f4")),
    "the block of another": ("block_1", lambda a: np.array([0, 1])),
    "an order with gaps": ("order_0", lambda a: changed(a, at0=a.reshape(-1)[1])),
    "an order past its end": ("order_0", lambda a: changed(a, at0=a.size)),
    "an order in floats": ("order_0", lambda a: a.astype("f4")),
    "an order of another shape": ("order_0", lambda a: a.reshape(-1)),
    "a diagonal of a weight in a block": ("rest_0", lambda a: np.ones(3, "f4")),
}


@pytest.mark.parametrize("structure", ARRAYS)
def test_arrays_that_do_not_fit_are_one_sentence(structure, contents, tmp_path):
    arrays = contents[structure]
    for name, spoils in ARRAYS[structure].items():
        for spoil in (NUMBERS | spoils).values():
            np.savez(tmp_path / "fisher.npz", **{**arrays, name: spoil(arrays[name])})
            refused(tmp_path / "fisher.npz")


@pytest.mark.parametrize("case", BLOCKS)
def test_blocks_that_do_not_fit_their_weights_are_one_sentence(case, contents, tmp_path):
    name, spoil = BLOCKS[case]
    arrays = contents["kronecker"]
    np.savez(tmp_path / "fisher.npz", **{**arrays, name: spoil(arrays.get(name))})
    refused(tmp_path / "fisher.npz")


def test_a_file_that_cannot_be_written_keeps_what_was_there(tmp_path):
    result = fisher_information(dense_classifier(), POINTS, **LOGITS)
    result.to_npz(tmp_path / "fisher")
    before = (tmp_path / "fisher.npz").read_bytes()
    implicit = fisher_information(dense_classifier(), POINTS, structure="implicit", **LOGITS)
    with pytest.raises(ValueError, match="holds no numbers"):
        implicit.to_npz(tmp_path / "fisher.npz")
    with pytest.raises(ValueError, match=r"folder that exists\. Received: path="):
        result.to_npz(tmp_path / "missing" / "fisher.npz")
    with pytest.raises(TypeError, match=r"must be a path\. Received: path=None"):
        result.to_npz(None)
    assert os.listdir(tmp_path) == ["fisher.npz"]
    assert (tmp_path / "fisher.npz").read_bytes() == before


def as_written_by_0_1_0(result, names, path):
    """A file of a diagonal as the first version wrote it, with its names of weights."""
    np.savez(
        path,
        structure=result.structure,
        labels=result.labels,
        num_examples=result.num_examples,
        standard_error=result.standard_error,
        paths=np.array(names, dtype=str),
        shapes=np.array([",".join(map(str, s)) for s in result.layout.shapes], dtype=str),
        **{f"values_{i}": v for i, v in enumerate(result.values)},
    )


def test_names_of_the_first_version_are_those_of_now(tmp_path):
    def encoder():
        x = keras.Input((3,))
        return keras.Model(x, layers.Dense(2, name="fc1")(x))

    left, right, third = encoder(), encoder(), encoder()
    x = keras.Input((3,))
    model = keras.Model(x, layers.Add()([left(x), right(x), third(x)]))
    data = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    result = fisher_information(model, data, **LOGITS)
    kernel, bias = result.variables[:2]
    numbered = [f"{path}{number}" for number in ("", " #2", " #3") for path in (kernel, bias)]
    assert list(result.variables) == numbered
    names = [f"{path}{number}" for number in ("", "_1", "_2") for path in (kernel, bias)]
    as_written_by_0_1_0(result, names, tmp_path / "old.npz")
    again = FisherInformation.from_npz(tmp_path / "old.npz")
    assert again.layout == result.layout
    assert (again + result).num_examples == 10
    price = {"beta": 0.1, "prior_scale": 1.0}
    expected = information_in_weights(model, result, **price)
    assert information_in_weights(model, again, **price) == expected


def test_a_path_of_its_own_that_ends_in_a_number_is_found_again(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Twice(layers.Layer):
        def build(self, shape):
            self.parts = [
                self.add_weight(shape=(shape[-1], 2), name=name) for name in ("kernel", "kernel_1")
            ]

        def call(self, x):
            return x @ self.parts[0] + keras.ops.tanh(x @ self.parts[1])

    model = keras.Sequential([keras.Input((3,)), Twice()])
    data = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    result = fisher_information(model, data, **LOGITS)
    assert [name.split("/")[-1] for name in result.variables] == ["kernel", "kernel_1"]
    as_written_by_0_1_0(result, result.variables, tmp_path / "old.npz")
    again = FisherInformation.from_npz(tmp_path / "old.npz")
    price = {"beta": 0.1, "prior_scale": 1.0}
    expected = information_in_weights(model, result, **price)
    assert information_in_weights(model, again, **price).nats == expected.nats
    result.to_npz(tmp_path / "new.npz")
    assert FisherInformation.from_npz(tmp_path / "new.npz").layout == result.layout


def test_only_a_name_that_follows_its_own_is_a_number():
    assert renumbered(["a", "a_1", "a_2"]) == ("a", "a #2", "a #3")
    for names in (["a_1"], ["a", "a_2"], ["a", "a_01"], ["a", "a_0"], ["a", "a_"], ["a_1", "a"]):
        assert renumbered(names) == tuple(names)
