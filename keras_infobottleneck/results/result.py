"""What the results of estimators have in common: numbers to log, a dictionary, a table."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence
from html import escape
from typing import Any, ClassVar

import numpy as np

from keras_infobottleneck.results.estimate import Estimate

__all__ = ["Result", "is_number", "numbers_of_fields", "plain"]

# Largest number of rows of a table in a notebook.
MAX_ROWS = 20


class Result:
    """Base of everything that an estimator returns; most results are frozen dataclasses.

    A result has `numbers()` for a log, `to_dict()` for JSON, and `to_dataframe()` for a table.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    # Names of fields that are arrays `[points]`; the table has a row for each point. Without such
    # fields the table has a single row, of `numbers()`.
    _points: ClassVar[tuple[str, ...]] = ()

    def __radd__(self, other: Any) -> Any:
        """0 + result is the result, if it can be added, so that `sum` adds results of shards."""
        begins = isinstance(other, int) and other == 0 and hasattr(self, "__add__")
        return self if begins else NotImplemented

    def numbers(self) -> dict[str, float]:
        """Numbers by name, the most important first, as `callbacks.Measure` logs them.

        Arrays are left out, or summarised by numbers.
        """
        return numbers_of_fields(self)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as plain numbers, texts and lists, for JSON."""
        return {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def to_dataframe(self) -> Any:
        """A `pandas.DataFrame` with a row for each weight or point, or else a single row.

        Raises:
            ImportError: Pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "`to_dataframe` needs pandas (pip install pandas). Received: no such package"
            ) from None
        return pandas.DataFrame(self._columns())

    def _columns(self) -> dict[str, Sequence]:
        """The columns of the table by name."""
        if self._points:
            return {name: getattr(self, name) for name in self._points}
        return {name: [value] for name, value in self.numbers().items()}

    def __repr__(self) -> str:
        """One line; arrays are shown by their shape."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        shown = ", ".join(f"{k}={_in_short(v)}" for k, v in fields.items() if v is not None)
        return f"{type(self).__name__}({shown})"

    def _repr_html_(self) -> str:
        """For notebooks: the line of `repr`, and the first rows of the table."""
        columns = self._columns()
        rows = list(zip(*columns.values(), strict=True))
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_in_short(cell))}</td>" for cell in row) + "</tr>"
            for row in rows[:MAX_ROWS]
        )
        more = f"<p>and {len(rows) - MAX_ROWS:,} more</p>" if len(rows) > MAX_ROWS else ""
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<p>{escape(repr(self))}</p>{table}{more}"


def numbers_of_fields(result: Any) -> dict[str, float]:
    """The numeric fields of a dataclass by name, in their order, without its seed."""
    fields = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    fields.pop("seed", None)
    return {name: float(value) for name, value in fields.items() if is_number(value)}


def is_number(value: Any) -> bool:
    """Whether a value is a real number; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def plain(value: Any, *, strict: bool = False) -> Any:
    """Converts a value to plain numbers, texts, and lists and dictionaries of them.

    Args:
        value: A number, a text, an array, a result, or a collection of these.
        strict: Whether infinite numbers and NaN, which strict JSON does not have, become texts.

    Raises:
        TypeError: The value is or contains anything else.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        # Converted, because an `Estimate` is a float whose text is not a number.
        value = float(value)
        return str(value) if strict and not math.isfinite(value) else value
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), strict=strict)
    if isinstance(value, dict):
        return {str(key): plain(each, strict=strict) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, strict=strict) for each in value]
    if isinstance(value, Result):
        return plain(value.to_dict(), strict=strict)
    raise TypeError(f"A result must hold plain values. Received: a {type(value).__name__}")


def _in_short(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"array of shape {list(value.shape)}"
    if isinstance(value, dict | tuple | list):
        return f"{len(value)} entries"
    if isinstance(value, Result):
        return type(value).__name__
    is_bare = isinstance(value, float | np.floating) and not isinstance(value, Estimate)
    return f"{value:.6g}" if is_bare else str(value)
