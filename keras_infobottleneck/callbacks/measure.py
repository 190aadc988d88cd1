"""`Measure`: records measurements of a network while it trains."""

import csv
import dataclasses
import io
import math
import numbers
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_count,
    check_file,
    check_instance,
    check_integers,
    check_path,
    refusal,
)
from keras_infobottleneck.introspection.replicas import is_chief
from keras_infobottleneck.results.files import write_text
from keras_infobottleneck.results.result import Result, numbers_of_fields

__all__ = ["Measure"]

_EPOCH = "epoch"
_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class="DATA_CLASS_SCALAR",
)


class Measure(keras.callbacks.Callback):
    """Takes measurements of the model on a schedule, into ``logs``, CSV and TensorBoard.

    The schedule counts *completed* epochs: 0 is before training, so ``every=5`` measures after 0,
    5, 10, ... epochs. The value before training goes to the CSV file, TensorBoard and ``rows``;
    those after an epoch also into its ``logs``, and so to ``History`` and the later callbacks
    in the list. In epochs without a measurement ``logs`` holds nan, so that histories stay
    aligned; ``EarlyStopping`` on a measurement counts those epochs against its patience.

    Training may be stopped and continued with ``initial_epoch``: rows of the CSV file from there
    on are measured again, earlier ones are kept. The file is replaced as a whole at each
    measurement, so a killed run leaves a complete file.

    ``Measure({"qubd": kib.estimators.quantized_complexity}, every=5, csv_path="qubd.csv")`` logs
    ``qubd_total_bits``, ``qubd_ratio``, ..., and with
    ``{"fisher": lambda model: kib.estimators.fisher_information(model, x)}`` it logs
    ``fisher_trace``, ``fisher_standard_error``, ...

    Args:
        measurements: Functions of the model, by name. A number is logged under the name; for a
            mapping, or a result of this package, each of its numbers is logged as ``name_key``. The
            numbers of a result are ``result.numbers()``; those of other dataclasses their fields.
        every: Measure after each multiple of this number of epochs, after the epochs in this
            collection, or if this function of the number of completed epochs is true.
        csv_path: File with one row per measurement, which starts with the number of completed
            epochs.
        log_dir: Directory for TensorBoard scalars, with completed epochs as steps.

    Attributes:
        rows: The measurements, one dictionary for each.
        results: The last result of each measurement, as returned.

    Raises:
        TypeError: A measurement is not callable, or, when it is first called, returns none of
            the above or a result without any number.
        ValueError: There are no measurements, ``every`` is out of range, ``csv_path`` is not a file
            in an existing folder or was not written by this callback, two numbers have the same
            name, or a name is already logged by training.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        x, y = np.ones((10, 4), "float32"), np.ones((10, 1), "float32")
        largest = {"largest": lambda model: float(np.max(model.get_weights()[0]))}
        norm = kib.callbacks.Measure(largest)
        history = model.fit(x, y, epochs=2, callbacks=[norm], verbose=0).history
        print(len(norm.rows), len(history["largest"]))  # before training too; after each epoch
        ```

        ```text
        3 2
        ```
    """

    def __init__(
        self,
        measurements: Mapping[str, Callable[[keras.Model], Any]],
        *,
        every: int | Collection[int] | Callable[[int], bool] = 1,
        csv_path: str | os.PathLike | None = None,
        log_dir: str | os.PathLike | None = None,
    ):
        super().__init__()
        expected = "a mapping from names to functions of the model"
        check_instance("measurements", measurements, Mapping, expected)
        if not measurements:
            raise refusal(ValueError, "measurements", "hold at least one function", measurements)
        if not all(isinstance(k, str) and callable(f) for k, f in measurements.items()):
            raise refusal(TypeError, "measurements", f"be {expected}", measurements)
        self._measurements = dict(measurements)
        self._due = _schedule(every)
        check_file("csv_path", csv_path, optional=True)
        check_path("log_dir", log_dir, optional=True)
        self._csv_path = csv_path
        self._log_dir = log_dir
        self._writer: Any = None
        self._completed: int | None = None
        self._names: dict[str, None] = {}  # of all numbers that were measured, in their order
        self.rows: list[dict[str, float]] = []
        self.results: dict[str, Any] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens TensorBoard's writer."""
        self._completed = None  # the first epoch may be any: it is known when it begins
        if self._log_dir is not None:
            self._writer = tf.summary.create_file_writer(os.fspath(self._log_dir))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Before the first epoch, reads earlier rows and measures if it is due."""
        if self._completed is not None:
            return
        self._completed = epoch
        # A file of something else is also refused if training starts from the beginning and
        # replaces it.
        path = self._csv_path
        kept = _read_csv(path) if epoch > 0 or (path and _holds_anything(path)) else []
        self.rows = [row for row in kept or self.rows if row[_EPOCH] < epoch]
        if self._due(epoch):
            self._measure(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures if it is due, and adds the numbers to `logs`."""
        self._completed = epoch + 1
        due = self._due(self._completed)
        if due:
            self._measure(self._completed)
        if logs is None or not self.rows:
            return
        values = self.rows[-1] if due else {}
        names = [name for name in dict.fromkeys([*self._names, *self.rows[-1]]) if name != _EPOCH]
        taken = sorted(set(names) & set(logs))
        if taken:
            raise ValueError(
                f"`measurements` must not have names that are logged already. Received: {taken}"
            )
        logs.update({name: values.get(name, math.nan) for name in names})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes TensorBoard's writer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _measure(self, completed: int) -> None:
        """Measures now, and writes the row to all outputs but ``logs``."""
        row: dict[str, float] = {_EPOCH: completed}
        for name, function in self._measurements.items():
            self.results[name] = function(self.model)
            found = _numbers(name, self.results[name])
            if taken := sorted(found.keys() & row.keys()):
                raise ValueError(
                    f"`measurements` must have names that differ. Received: {taken} twice"
                )
            row |= found
            self._names |= dict.fromkeys(found)
        self.rows.append(row)
        # If the callback is called without `fit`, it has no model.
        if self._csv_path is not None and (self.model is None or is_chief(self.model)):
            _write_csv(self._csv_path, self.rows)
        if self._writer is not None:
            with self._writer.as_default(step=completed):
                for key, value in row.items():
                    if key != _EPOCH:
                        # Not `tf.summary.scalar`, which needs TensorBoard to be installed.
                        tf.summary.write(key, np.float32(value), metadata=_SCALAR)
            self._writer.flush()


def _schedule(every: Any) -> Callable[[int], bool]:
    """A function that says whether to measure after a number of completed epochs."""
    if callable(every):
        return every
    if isinstance(every, Collection) and not isinstance(every, str | bytes | Mapping):
        epochs = frozenset(check_integers("every", list(every), "[epochs]", 0).tolist())
        return lambda completed: completed in epochs
    if not isinstance(every, numbers.Integral) or isinstance(every, bool):
        expected = "be a number of epochs, a collection of epochs or a function"
        raise refusal(TypeError, "every", expected, every)
    number = check_count("every", every)
    return lambda completed: completed % number == 0


def _numbers(name: str, result: Any) -> dict[str, float]:
    """The numbers of a result, by the key under which each is logged.

    Raises:
        TypeError: The result is not a number, a mapping to numbers, or a result, or has no number.
    """
    if isinstance(result, Result):
        result = result.numbers()
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = numbers_of_fields(result)
    if isinstance(result, Mapping) and result:
        found: dict[str, float] = {}
        for key, value in result.items():
            found |= _numbers(f"{name}_{key}", value)
        return found
    is_array = isinstance(result, np.ndarray) or keras.ops.is_tensor(result)
    # NumPy has no kind for bfloat16, and reports V.
    is_scalar = is_array and result.ndim == 0 and np.asarray(result).dtype.kind in "biufV"
    if isinstance(result, numbers.Real) or is_scalar:
        return {name: float(result)}
    what = " without any number" if isinstance(result, Mapping) else ""
    raise TypeError(
        "`measurements` must return a number, a mapping to numbers or a result of this package, "
        f"with at least one number. Received: {name}{what}, of type {type(result).__name__}"
    )


def _holds_anything(path: str | os.PathLike) -> bool:
    return os.path.exists(path) and os.path.getsize(path) > 0


def _read_csv(path: str | os.PathLike | None) -> list[dict[str, float]]:
    """Rows of an earlier run; empty if there is no file."""
    if path is None or not os.path.exists(path):
        return []
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            if not reader.fieldnames or reader.fieldnames[0] != _EPOCH:
                raise KeyError(_EPOCH)
            rows = [{k: float(v) for k, v in row.items() if v} for row in reader]
        return [{**row, _EPOCH: int(row[_EPOCH])} for row in rows]
    except (ValueError, TypeError, KeyError, OverflowError, csv.Error) as error:
        raise ValueError(
            "`csv_path` must be a file written by this callback. "
            f"Received: csv_path={os.fspath(path)!r} ({type(error).__name__})"
        ) from None


def _write_csv(path: str | os.PathLike, rows: list[dict[str, float]]) -> None:
    """Replaces the file atomically: a reader, or a killed run, always has a complete file."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue(), "csv_path")
