"""The one reader: the same examples from data of any kind, and what it notices while it reads."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.data import datasets
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.elements import Asked

NUM = 23
X = np.random.default_rng(0).normal(size=(NUM, 2)).astype(np.float32)
Y = np.arange(NUM)
CUTS = {"fives": [5, 10, 15, 20], "of any size": [5, 6, 13, 13, 14], "one": []}


class Sequence(keras.utils.PyDataset):
    """Batches that end at the cuts; a list in the place of a tuple, and one buffer for all."""

    def __init__(self, cuts, in_one_buffer=False):
        super().__init__()
        self.parts = list(zip(np.split(X, cuts), np.split(Y, cuts), strict=True))
        self.buffer = np.zeros_like(X) if in_one_buffer else None

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        x, y = self.parts[index]
        if self.buffer is not None:
            self.buffer[: len(x)] = x
            x = self.buffer[: len(x)]
        return [x, y]


def from_generator(cuts, shape=(None, 2)):
    """A dataset that TensorFlow knows little of."""
    return tf.data.Dataset.from_generator(
        lambda: zip(np.split(X, cuts), np.split(Y, cuts), strict=True),
        output_signature=(tf.TensorSpec(shape, tf.float32), tf.TensorSpec([None], tf.int64)),
    )


def examples(batches, **options):
    """Everything that stacks hold but what fills them up, and the sizes of the stacks."""
    stacks = list(batches.stacks(**options))
    weights = np.concatenate([np.ravel(s.weights) for s in stacks]) > 0
    x = np.concatenate([np.reshape(s.x, [-1, 2]) for s in stacks])[weights]
    y = np.concatenate([np.ravel(s.y) for s in stacks])[weights]
    numbers = np.concatenate(
        [(s.first[:, None] + np.arange(s.weights.shape[1])).numpy().ravel() for s in stacks]
    )[weights]
    return (x, y, numbers), [tuple(s.weights.shape) for s in stacks]


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize(
    "kind", ["PyDataset", "in one buffer", "known shapes", "unknown shapes", "unknown rank"]
)
def test_data_of_every_kind_give_the_same_examples_wherever_their_batches_end(kind, cuts):
    make = {
        "PyDataset": Sequence,
        "in one buffer": lambda cuts: Sequence(cuts, in_one_buffer=True),
        "known shapes": from_generator,
        "unknown shapes": lambda cuts: from_generator(cuts, (None, None)),
        "unknown rank": lambda cuts: from_generator(cuts, None),
    }[kind]
    batches = Batches(make(CUTS[cuts]))
    for options in ({}, {"most": 1}, {"most": 2}):
        for found, expected in zip(
            examples(batches, **options)[0], (X, Y, np.arange(NUM)), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
    assert batches.num_examples == batches.count() == NUM
    assert batches.size == (5 if CUTS[cuts] else NUM)
    for most in (None, 1):
        parts = list(batches.parts(most))
        assert all(len(x) <= batches.size * (most or NUM) for x, _ in parts)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), X)


def test_arrays_and_datasets_come_in_stacks_of_one_size():
    """One call of a compiled function for many batches, not one for each."""
    kinds = [
        Batches((X, Y), 5),
        Batches(tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)),
        Batches(Sequence(CUTS["fives"])),
        Batches(from_generator(CUTS["fives"])),
        Batches(from_generator(CUTS["of any size"], (None, None))),
    ]
    for batches in kinds:
        assert examples(batches)[1] == [(5, 5)]
        assert examples(batches, most=2)[1] == [(2, 5), (2, 5), (1, 5)]
        batches.split(2)  # evenly: of 5 the third part
        assert examples(batches)[1] == [(12, 2)]


@pytest.mark.parametrize("kind", ["known shapes", "unknown shapes"])
def test_parts_of_another_size_between_two_passes_leave_the_second_as_the_first(kind):
    shape = (None, 2) if kind == "known shapes" else (None, None)
    source = datasets.Datasets(from_generator(CUTS["of any size"], shape), Asked())
    for rows in (5, 5, 7, 5, NUM + 1, 7):
        parts = list(source.parts(rows))
        assert [len(x) for x, _ in parts] == [min(rows, NUM - i) for i in range(0, NUM, rows)]
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), X)
        np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), Y)


def test_a_pass_that_was_left_in_the_middle_is_begun_anew():
    source = datasets.Datasets(from_generator(CUTS["fives"]), Asked())
    begun = source.parts(4)
    np.testing.assert_array_equal(next(begun)[1], Y[:4])
    np.testing.assert_array_equal(next(source.parts(4))[1], Y[:4])
    np.testing.assert_array_equal(next(source.parts(9))[1], Y[:9])
    np.testing.assert_array_equal(next(begun)[1], Y[4:8])


def test_stacks_stay_within_their_bytes(monkeypatch):
    monkeypatch.setattr("keras_infobottleneck.data.batches.STACK_BYTES", 3 * 5 * 8)
    dataset = tf.data.Dataset.from_tensor_slices(X).batch(5)
    for batches in (Batches(X, 5, needs_labels=False), Batches(dataset, needs_labels=False)):
        assert [s.weights.shape[0] for s in batches.stacks()] == [3, 2]


def test_batches_of_several_shapes_keep_their_shapes():
    rows = [np.ones([4, 3]), np.ones([2, 3]), np.ones([3, 7]), np.ones([0, 7]), np.ones([1, 5])]
    dataset = tf.data.Dataset.from_generator(
        lambda: rows, output_signature=tf.TensorSpec([None, None], tf.float64)
    )
    parts = [x.shape for x, _ in Batches(dataset, needs_labels=False).parts()]
    assert parts == [(6, 3), (3, 7), (1, 5)]


def test_a_shard_counts_its_examples_from_where_it_starts():
    for data in ((X, Y), Sequence(CUTS["fives"])):
        _, _, numbers = examples(Batches(data, first_example=2**40))[0]
        np.testing.assert_array_equal(numbers, 2**40 + np.arange(NUM))


def test_a_look_at_the_first_example_is_taken_once():
    reads = []

    class Counted(Sequence):
        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index)

    batches = Batches(Counted(CUTS["fives"]))
    for _ in range(2):
        np.testing.assert_array_equal(batches.first_inputs(), X[:1])
        assert batches.size == 5
    batches.count()
    assert reads == [0, *range(5)]


def test_other_examples_in_a_later_pass_are_noticed():
    again = tf.data.Dataset.from_tensor_slices((X, Y))
    shuffled = again.shuffle(NUM, seed=1, reshuffle_each_iteration=True).batch(5)

    class Augmented(Sequence):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return x + np.random.default_rng().normal(size=x.shape).astype(np.float32), y

    text = tf.data.Dataset.from_tensor_slices(["a", "bc", "d"])
    text = text.shuffle(3, seed=1, reshuffle_each_iteration=True).batch(2)
    for data in (shuffled, Augmented([7]), text):
        batches = Batches(data, needs_labels=False)
        with pytest.raises(ValueError, match=r"the same examples in the same order.* Received: "):
            [list(batches.parts()) for _ in range(9)]


def test_the_same_examples_in_other_batches_are_the_same():
    class Moving(Sequence):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            if index == len(self) - 1:
                self.__init__(sorted(np.random.default_rng().integers(1, NUM, len(self) - 1)))
            return x, y

    batches = Batches(Moving([4, 9]))
    for most in (None, 1, None, 2):
        (x, _, _), _ = examples(batches, most=most)
        np.testing.assert_array_equal(x, X)


class Mine(Exception):
    """Of the user."""


def failing(after):
    """A PyDataset and a dataset of a generator that raise after so many batches."""

    class Failing(Sequence):
        def __getitem__(self, index):
            if index == after:
                raise Mine("no such file")
            return super().__getitem__(index)

    def generate():
        for index in range(5):
            yield Failing(CUTS["fives"])[index]

    signature = tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([None], tf.int64)
    return Failing(CUTS["fives"]), tf.data.Dataset.from_generator(
        lambda: map(tuple, generate()), output_signature=signature
    )


@pytest.mark.parametrize("after", [0, 3])
def test_an_exception_of_the_data_comes_out_as_it_is(after):
    sequence, generated = failing(after)
    with pytest.raises(Mine, match=r"^no such file$"):
        Batches(sequence).count()
    with pytest.raises(tf.errors.UnknownError, match="Mine: no such file"):  # TensorFlow's words
        Batches(generated).count()


def test_data_without_an_end_are_refused_at_once():
    class Endless(Sequence):
        num_batches = None

    dataset = tf.data.Dataset.from_tensors((X, Y))
    for data in (dataset.repeat(), Endless([])):
        with pytest.raises(ValueError, match=r"`data` must end.*infinite.*Dataset"):
            Batches(data)
        batches = Batches(data, may_be_endless=True)
        np.testing.assert_array_equal(batches.first_batch()[0], X)


@pytest.mark.parametrize("shape", [(None, 2), (None, None)])
def test_data_that_do_not_say_how_many_they_are_are_read_up_to_a_bound(shape, monkeypatch):
    monkeypatch.setattr(datasets, "MOST_EXAMPLES", 4 * NUM)
    endless = tf.data.Dataset.from_generator(
        lambda: itertools.repeat((X, Y)),
        output_signature=(tf.TensorSpec(shape, tf.float32), tf.TensorSpec([None], tf.int64)),
    )
    with pytest.raises(ValueError, match=r"`data` must end.*assert_cardinality.* than 92 examples"):
        Batches(endless).count()
    assert Batches(endless.take(3)).count() == 3 * NUM
    said = endless.take(5).apply(tf.data.experimental.assert_cardinality(5))
    assert Batches(said).count() == 5 * NUM


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((X[:0], Y[:0]), "at least one example"),
        (tf.data.Dataset.from_tensors((X, Y)).take(0), "at least one example"),
        (tf.data.Dataset.from_tensors((X[:0], Y[:0])), "at least one example"),
        (from_generator([]).map(lambda x, y: (x[:-1], y)), "same examples.*22 and 23"),
        (
            from_generator([], (None, None)).map(lambda x, y: (x[:-1], y)),
            "same examples.*22 and 23",
        ),
        (from_generator([]).map(lambda x, y: (x[0, 0], y[0])), r"`.batch\(n\)`"),
    ],
)
def test_datasets_of_no_batches_are_refused_in_a_sentence(data, words):
    with pytest.raises(ValueError, match=f"`data` must .*{words}"):
        Batches(data).count()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"batch_size": 0}, ValueError),
        ({"batch_size": True}, TypeError),
        ({"batch_size": 2.0}, TypeError),
        ({"first_example": -1}, ValueError),
        ({"first_example": "0"}, TypeError),
    ],
)
def test_numbers_that_are_no_counts_are_refused(options, error):
    (name,) = options
    with pytest.raises(error, match=f"`{name}` must .* Received: {name}="):
        Batches((X, Y), **options)


def test_a_dataset_brings_its_own_batches():
    with pytest.raises(ValueError, match=r"`batch_size` is for arrays.* Received: batch_size=2"):
        Batches(Sequence([]), 2)


def test_a_checksum_is_of_examples_and_labels_in_any_order():
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    order = np.array([3, 0, 5, 1, 4, 2])
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    whole = Batches((x, y)).checksum()
    assert Batches((x[order], y[order])).checksum() == Batches(data).checksum() == whole
    changed = np.where(np.arange(6)[:, None] == 5, x + 1, x)
    others = [(x[order], y), (changed, y), (x[:5], y[:5]), (x, y.astype("int32")), (x, 1.0 * y)]
    words = np.array(["a", "bc", "", "d", "e", "f"])
    others += [([x, words], y), ([x, words[order]], y), (x[:, :0], y)]
    sums = {whole, *(Batches(other).checksum() for other in others)}
    assert len(sums) == 1 + len(others)
    assert all(0 <= number < 2**53 for number in sums)
