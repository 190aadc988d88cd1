import csv
import math
import os
import threading
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

import keras_infobottleneck as kib
from keras_infobottleneck.callbacks import Measure

pytestmark = pytest.mark.quick

X = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
Y = X[:, :1]


def small_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def norm(model):
    return float(np.linalg.norm(model.layers[0].kernel.numpy()))


def fit(model, *callbacks, epochs=4, **options):
    return model.fit(X, Y, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks, **options)


def read_csv(path):
    with open(path, newline="") as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def test_measures_before_training_and_after_each_scheduled_epoch():
    norms = {}
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: norms.update({epoch + 1: norm(model)})
    )
    model = small_model()
    norms[0] = norm(model)
    measure = Measure({"norm": norm}, every=2)
    history = fit(model, measure, record, epochs=5).history
    assert measure.rows == [{"epoch": n, "norm": norms[n]} for n in (0, 2, 4)]
    logged = history["norm"]
    assert [math.isnan(value) for value in logged] == [True, False, True, False, True]
    assert logged[1::2] == [norms[2], norms[4]]


@pytest.mark.parametrize(
    ("every", "expected"), [((1, 3), [1, 3]), (lambda n: n > 2, [3, 4]), (np.int64(3), [0, 3])]
)
def test_schedule_may_be_a_collection_a_function_or_a_number(every, expected):
    measure = Measure({"norm": norm}, every=every)
    fit(small_model(), measure)
    assert [row["epoch"] for row in measure.rows] == expected


def test_later_callbacks_see_the_value():
    stop = keras.callbacks.EarlyStopping("score", mode="max", patience=0)
    measure = Measure({"score": lambda model: -norm(model) * 0})
    assert len(fit(small_model(), measure, stop, epochs=6).epoch) == 2


@dataclass(frozen=True)
class Result:
    nats: float
    num_examples: int
    name: str


def test_mappings_results_and_scalars_are_logged_by_their_numbers(tmp_path):
    measurements = {
        "map": lambda model: {"a": 1, "b": np.float32(2)},
        "result": lambda model: Result(nats=0.5, num_examples=7, name="x"),
        "tensor": lambda model: tf.constant(3.0),
        "array": lambda model: np.array(4.0),
    }
    measure = Measure(measurements, csv_path=tmp_path / "m.csv")
    fit(small_model(), measure, epochs=1)
    expected = {"epoch": 1, "map_a": 1, "map_b": 2, "tensor": 3, "array": 4}
    expected |= {"result_nats": 0.5, "result_num_examples": 7}
    assert measure.rows[-1] == expected
    assert read_csv(tmp_path / "m.csv")[-1] == expected
    assert measure.results["result"].name == "x"


def test_records_quantized_complexity_while_training(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    measure = Measure({"qubd": kib.estimators.quantized_complexity}, csv_path=tmp_path / "q.csv")
    history = fit(model, measure, epochs=2).history
    assert history["qubd_total_bits"][-1] == measure.results["qubd"].total_bits
    ratios = {f"qubd_{name}{std}" for name in ("ratio", "shuffled_ratio") for std in ("", "_std")}
    assert set(measure.rows[0]) >= {"epoch", "qubd_total_bits"} | ratios
    assert measure.rows[0]["qubd_num_bits"] == 8


def test_tensorboard_has_the_values_by_completed_epochs(tmp_path):
    measure = Measure({"norm": norm}, log_dir=tmp_path)
    fit(small_model(), measure, epochs=2)
    (path,) = tmp_path.iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = event_pb2.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    expected = {(row["epoch"], "norm"): np.float32(row["norm"]) for row in measure.rows}
    assert found == pytest.approx(expected)


def test_continued_training_ends_with_the_file_of_the_undisturbed_run(tmp_path):
    fit(small_model(), Measure({"norm": norm}, every=2, csv_path=tmp_path / "a.csv"), epochs=6)
    model = small_model()
    # The first run is lost after its fourth epoch; its model was last saved after the third.
    saved = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epoch == 2 and weights.extend(model.get_weights())
    )
    weights = []
    fit(model, Measure({"norm": norm}, every=2, csv_path=tmp_path / "b.csv"), saved, epochs=4)
    model.set_weights(weights)
    measure = Measure({"norm": norm}, every=2, csv_path=tmp_path / "b.csv")
    fit(model, measure, epochs=6, initial_epoch=3)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert [row["epoch"] for row in measure.rows] == [0, 2, 4, 6]


def test_a_new_training_replaces_the_file(tmp_path):
    for epochs in (3, 1):
        fit(small_model(), Measure({"norm": norm}, csv_path=tmp_path / "m.csv"), epochs=epochs)
    assert [row["epoch"] for row in read_csv(tmp_path / "m.csv")] == [0, 1]


def test_a_failing_measurement_leaves_the_rows_before_it(tmp_path):
    def fail_later(model):
        if model.optimizer.iterations > 1:
            raise RuntimeError("no")
        return 1.0

    with pytest.raises(RuntimeError, match="no"):
        fit(small_model(), Measure({"f": fail_later}, csv_path=tmp_path / "m.csv"))
    assert [row["epoch"] for row in read_csv(tmp_path / "m.csv")] == [0, 1]


@pytest.mark.parametrize(
    ("measurements", "every", "error", "message"),
    [
        ({}, 1, ValueError, "at least one function"),
        (norm, 1, TypeError, "a mapping from names to functions"),
        ({"norm": 3.0}, 1, TypeError, r"functions of the model.*'norm': 3.0"),
        ({"norm": norm}, 0, ValueError, r"every.*0"),
        ({"norm": norm}, True, TypeError, r"every.*True"),
        ({"norm": norm}, (), ValueError, r"every.*not be empty"),
        ({"norm": norm}, "epoch", TypeError, r"every.*'epoch'"),
        ({"norm": norm}, 2.5, TypeError, r"every.*2.5"),
    ],
)
def test_refuses_bad_arguments(measurements, every, error, message):
    with pytest.raises(error, match=message):
        Measure(measurements, every=every)


@dataclass(frozen=True)
class Words:
    name: str
    is_done: bool


@pytest.mark.parametrize(
    "result",
    [
        *(np.ones(3), np.array("1"), np.array(1j), tf.constant(1j), tf.constant("1"), 1j, [1.0]),
        *("high", None, {"a": "high"}, {}, {"a": {}}, Result, Words("x", True)),
    ],
)
def test_refuses_results_that_are_no_numbers_when_they_are_first_taken(result):
    measure = Measure({"bad": lambda model: result})
    with pytest.raises(TypeError, match=r"`measurements` must return.*Received: bad"):
        fit(small_model(), measure)
    assert measure.rows == []


@pytest.mark.parametrize(
    "measurements",
    [
        {"epoch": norm},
        {"a_b": norm, "a": lambda model: {"b": 1.0}},
    ],
)
def test_refuses_one_name_for_two_numbers(measurements):
    with pytest.raises(ValueError, match=r"names that differ\. Received: \['(epoch|a_b)'\]"):
        fit(small_model(), Measure(measurements))


def test_what_is_measured_of_curvature_is_its_trace():
    def fisher(model):
        return kib.estimators.fisher_information(model, X, labels="expected", likelihood="normal")

    def hessian(model):
        return kib.estimators.hessian(model, (X, Y), likelihood="normal")

    measure = Measure({"f": fisher, "both": lambda m: {"f": fisher(m), "h": hessian(m)}})
    history = fit(small_model(), measure, epochs=1).history
    # One output and a unit variance: the mean of |x|^2, and 1 for the bias.
    trace = pytest.approx(float(np.mean(np.sum(X**2, 1))) + 1.0, rel=1e-5)
    for key in ("f_trace", "both_f_trace"):
        assert history[key] == [trace]
    # A quadratic loss: the Hessian is the Fisher information; its trace is an estimate.
    estimate, error = history["both_h_trace"][0], history["both_h_standard_error"][0]
    assert abs(estimate - history["f_trace"][0]) < 4 * error
    assert (history["f_size"], history["f_num_examples"]) == ([7], [16])


DAMAGED = {
    "text": b"no table",
    "nothing": b"",
    "another table": b"name,value\na,1\n",
    "words for numbers": b"epoch,norm\n0,high\n",
    "half an epoch": b"epoch,norm\nnan,1.0\n",
    "more cells than columns": b"epoch,norm\n0,1.0,2.0\n",
    "bytes": b"\x93NUMPY\xff\xfe,\x00\n\xff,1\n",
}


@pytest.mark.parametrize("case", DAMAGED)
def test_goes_on_only_with_a_file_of_its_own(case, tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes(DAMAGED[case])
    with pytest.raises(ValueError, match=r"^`csv_path` must be a file written by.*Received: csv_"):
        fit(small_model(), Measure({"norm": norm}, csv_path=path), epochs=3, initial_epoch=2)
    assert path.read_bytes() == DAMAGED[case]


def test_refuses_a_place_that_cannot_hold_a_file(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "m.csv"):
        with pytest.raises(ValueError, match=r"^`csv_path` must be a file .*Received: csv_path="):
            Measure({"norm": norm}, csv_path=path)


def test_two_trainings_may_write_one_file_while_it_is_read(tmp_path):
    path, failures = tmp_path / "m.csv", []

    def train():
        try:
            measure = Measure({"a": lambda model: 1.0}, csv_path=path)
            for epoch in range(60):
                measure.on_epoch_begin(epoch)
                measure.on_epoch_end(epoch, {})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=train) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            rows = read_csv(path)
            assert rows == [{"epoch": n, "a": 1.0} for n in range(len(rows))]
    assert failures == []
    assert os.listdir(tmp_path) == ["m.csv"]


def test_refuses_the_name_of_what_training_logs():
    with pytest.raises(ValueError, match=r"logged already.*loss"):
        fit(small_model(), Measure({"loss": norm}))


@pytest.mark.parametrize("content", [b"name,value\na,1\n", b"notes of mine"])
def test_a_new_training_does_not_replace_a_file_of_something_else(content, tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    model = small_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"^`csv_path` must be a file written by.*Received: csv_"):
        fit(model, Measure({"norm": norm}, csv_path=path))
    assert path.read_bytes() == content
    np.testing.assert_array_equal(model.get_weights()[0], before[0])  # before any training


def test_a_new_training_fills_an_empty_file(tmp_path):
    (tmp_path / "m.csv").touch()
    fit(small_model(), Measure({"norm": norm}, csv_path=tmp_path / "m.csv"), epochs=1)
    assert [row["epoch"] for row in read_csv(tmp_path / "m.csv")] == [0, 1]


def test_numbers_that_are_missing_once_are_nan_in_the_histories():
    found = iter([{"a": 1.0, "b": 2.0}, {"b": 3.0}, {"a": 4.0}])
    history = fit(small_model(), Measure({"q": lambda model: next(found)}), epochs=2).history
    np.testing.assert_array_equal(history["q_a"], [np.nan, 4.0])
    np.testing.assert_array_equal(history["q_b"], [3.0, np.nan])
