"""Arrays in files: what is written comes back, and nothing else is taken."""

import zipfile

import numpy as np
import pytest

from keras_infobottleneck.results.archives import Archive, write_arrays
from tests.support.damaged_archives import archive, damaged, npy

RULE = "`path` must be a file of ours"
ARRAYS = {
    "values": np.arange(6.0).reshape(2, 3),
    "count": np.array(3),
    "word": np.array("sampled"),
    "words": np.array(["a", "b"]),
    "error": np.array(0.5),
    "square": np.array([[2.0, 1.0], [1.0, 3.0]]),
}
WHOLE, WRONG = damaged(ARRAYS, "values")


def written(tmp_path, content):
    path = tmp_path / "some.npz"
    path.write_bytes(content)
    return path


def test_what_is_written_is_what_is_taken(tmp_path):
    write_arrays(tmp_path / "a.npz", ARRAYS)
    file = Archive(tmp_path / "a.npz", RULE)
    np.testing.assert_array_equal(file.array("values", (2, 3)), ARRAYS["values"])
    np.testing.assert_array_equal(file.second_moments("square", (2, 2)), ARRAYS["square"])
    assert (file.count("count"), file.error("error")) == (3, 0.5)
    assert (file.text("word"), file.texts("words")) == ("sampled", ("a", "b"))
    file.close()


@pytest.mark.parametrize("case", WRONG)
def test_a_damaged_file_is_one_sentence(case, tmp_path):
    Archive(written(tmp_path, WHOLE), RULE)  # the undamaged one is taken
    path = written(tmp_path, WRONG[case])

    def read():
        Archive(path, RULE).array("values", (2, 3))

    with pytest.raises(
        ValueError, match=r"^`path` must be a file of ours\. Received: [^\n]*$"
    ) as e:
        read()
    assert repr(str(path)) in str(e.value)


def test_compressed_arrays_are_taken_where_they_are_asked_for_and_only_to_a_limit(tmp_path):
    path = written(tmp_path, archive([("zeros", npy(np.zeros(10**6)))], zipfile.ZIP_DEFLATED))
    with pytest.raises(ValueError, match=r"Received: path='.*', compressed$"):
        Archive(path, RULE)
    with pytest.raises(ValueError, match=r"with more than 1,000,000 bytes of arrays$"):
        Archive(path, RULE, max_bytes=10**6)
    assert Archive(path, RULE, max_bytes=10**7).array("zeros", (10**6,)).sum() == 0


def test_others_than_the_names_asked_for_are_not_read(tmp_path):
    content = archive([("good", npy(np.ones(2))), ("bad", b"words")])
    file = Archive(written(tmp_path, content), RULE, names=("good",))
    assert "good" in file
    assert "bad" not in file


def test_a_folder_a_missing_file_and_no_path(tmp_path):
    with pytest.raises(ValueError, match=r"a folder$"):
        Archive(tmp_path, RULE)
    with pytest.raises(FileNotFoundError):
        Archive(tmp_path / "none.npz", RULE)
    with pytest.raises(TypeError, match=r"`path` must be a path\. Received: path=3"):
        Archive(3, RULE)


TAKEN = {
    "another shape": (lambda file: file.array("a", (3,)), np.ones(2)),
    "another rank": (lambda file: file.array("a", (2, None)), np.ones(2)),
    "no entries": (lambda file: file.array("a", (None,)), np.ones(0)),
    "NaN": (lambda file: file.array("a", (2,)), np.array([0.0, np.nan])),
    "infinity": (lambda file: file.array("a", (2,)), np.array([0.0, -np.inf])),
    "complex numbers": (lambda file: file.array("a", (2,)), np.ones(2, complex)),
    "integers for numbers": (lambda file: file.array("a", (2,)), np.ones(2, int)),
    "half precision": (lambda file: file.array("a", (2,)), np.ones(2, "f2")),
    "extended precision": (lambda file: file.array("a", (2,)), np.ones(2, np.longdouble)),
    "texts for numbers": (lambda file: file.array("a", (2,)), np.array(["1", "2"])),
    "times for integers": (
        lambda file: file.array("a", (2,), kinds="iu"),
        np.ones(2, "i8").astype("m8[s]"),
    ),
    "records": (lambda file: file.array("a", (2,)), np.zeros(2, [("x", "f4")])),
    "negative numbers": (lambda file: file.array("a", (2,), least=0), np.array([1.0, -1e-9])),
    "a negative count": (lambda file: file.count("a"), np.array(-3)),
    "a count of nothing": (lambda file: file.count("a"), np.array(0)),
    "a count that is a fraction": (lambda file: file.count("a"), np.array(2.0)),
    "counts": (lambda file: file.count("a"), np.array([2])),
    "a negative error": (lambda file: file.error("a"), np.array(-1.0)),
    "an infinite error": (lambda file: file.error("a"), np.array(np.inf)),
    "errors": (lambda file: file.error("a"), np.array([1.0])),
    "another word": (lambda file: file.text("a", ("x", "y")), np.array("z")),
    "a number for a word": (lambda file: file.text("a"), np.array(3)),
    "bytes for a word": (lambda file: file.text("a"), np.array(b"x")),
    "no words": (lambda file: file.texts("a"), np.array([], "U1")),
    "numbers for words": (lambda file: file.texts("a"), np.array([1])),
    "a matrix that is not square": (
        lambda file: file.second_moments("a", (None, None)),
        np.ones((2, 3)),
    ),
    "a matrix that is not symmetric": (
        lambda file: file.second_moments("a", (None, None)),
        np.array([[1.0, 0.1], [0.2, 1.0]]),
    ),
    "a large matrix that is not symmetric at its end": (
        lambda file: file.second_moments("a", (None, None)),
        np.eye(600) + np.eye(600, k=599),
    ),
    "a negative diagonal": (
        lambda file: file.second_moments("a", (None, None)),
        np.diag([1.0, -1.0]),
    ),
    "nothing": (lambda file: file.take("b"), np.ones(2)),
    "something besides": (lambda file: file.close(), np.ones(2)),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_an_array_must_be(case, tmp_path):
    take, array = TAKEN[case]
    write_arrays(tmp_path / "a.npz", {"a": array})
    with pytest.raises(
        ValueError, match=r"^`path` must be a file of ours\. Received: path=[^\n]*$"
    ):
        take(Archive(tmp_path / "a.npz", RULE))
