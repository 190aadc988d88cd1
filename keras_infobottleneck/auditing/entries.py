"""Entries of a report: its numbers, its verdicts, and its omissions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "SWITCHED_OFF",
    "Measure",
    "Omission",
    "Reading",
    "Verdict",
    "counterparts",
    "listed",
    "number_in_words",
    "omissions_by_reason",
]

MAX_CHARACTERS = 300
SWITCHED_OFF = "switched off by `include`"


@dataclasses.dataclass(frozen=True)
class Measure:
    """Kind of number in a report: its name, unit, status (exact, bound, ...) and how it misleads.

    Attributes:
        name: Name by which readings refer to it, unique in a report.
        label: Name that the report shows.
        unit: Unit of the number and its error.
        truth: Exact, unbiased, bound or approximation, and of what.
        reading: What it means, and how it misleads.

    Example:
        ```python
        from keras_infobottleneck.auditing import Measure

        measure = Measure("norm", "norm of the weights", "weight", "exact", "It grows with size.")
        print(measure.label, "in", measure.unit)
        ```

        ```text
        norm of the weights in weight
        ```
    """

    name: str
    label: str
    unit: str
    truth: str
    reading: str


@dataclasses.dataclass(frozen=True)
class Omission:
    """Something that was not measured, and the reason.

    Attributes:
        part: Part of the report, or "layers" for a layer that no part concerns.
        where: Layer, weight or measure; "all" if the whole part is missing.
        reason: One sentence, the same for all that are omitted for the same reason.
        detail: Property of the place that the reason refers to, such as its number of units.

    Example:
        ```python
        from keras_infobottleneck.auditing import Omission

        missing = Omission("relevance", "wide", "all states are distinct", "512 units")
        print(missing.place)
        ```

        ```text
        wide (512 units)
        ```
    """

    part: str
    where: str
    reason: str
    detail: str = ""

    @classmethod
    def of(cls, part: str, where: str, error: Exception) -> Omission:
        """Makes an omission from the error that an estimator raised."""
        sentence = " ".join(str(error).split()) or "no reason given"
        if not isinstance(error, ValueError | TypeError):
            sentence = f"{type(error).__name__}: {sentence}"
        if len(sentence) > MAX_CHARACTERS:
            sentence = f"{sentence[:MAX_CHARACTERS]}..."
        return cls(part, where, sentence)

    def to_dict(self) -> dict[str, str]:
        """Returns plain strings, for JSON."""
        return dataclasses.asdict(self)

    @property
    def place(self) -> str:
        """Layer, weight or measure that is missing, with its detail."""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{'' if self.where == 'all' else self.where}{detail}"

    def __str__(self) -> str:
        return f"{self.part}{', ' if self.place else ''}{self.place}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Reading:
    """One number of a report, with its error and what to compare it with.

    Attributes:
        part: Part of the report.
        measure: Kind of number.
        where: Layer or weight, "" for the whole model.
        value: The number, in the measure's unit.
        standard_error: Its standard error, or None.
        beside: What to compare it with, usually a null, in words.

    Example:
        ```python
        from keras_infobottleneck.auditing import Measure, Reading

        measure = Measure("norm", "norm of the weights", "weight", "exact", "It grows with size.")
        reading = Reading("norms", measure, "head/kernel", 3.5)
        print(reading.value, reading.where)
        ```

        ```text
        3.5 head/kernel
        ```
    """

    part: str
    measure: Measure
    where: str
    value: float
    standard_error: float | None = None
    beside: str = ""

    @property
    def name(self) -> str:
        """Name of the measure."""
        return self.measure.name

    @property
    def label(self) -> str:
        """Label of the measure, and the place."""
        return f"{self.where}: {self.measure.label}" if self.where else self.measure.label

    @property
    def text(self) -> str:
        """The number and its error as text."""
        return number_in_words(self.value, self.standard_error)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers and strings, for JSON."""
        return {
            "part": self.part,
            "name": self.name,
            "where": self.where,
            "value": self.value,
            "standard_error": self.standard_error,
            "beside": self.beside,
            "unit": self.measure.unit,
        }


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Conclusion of a part of the report, for readers who have to act on it.

    Attributes:
        statement: One sentence, with what to do if something should be done.
        evidence: The numbers on which it is based, and what they were compared with.
        uncertainty: How certain the statement is, and what would refute it.
        urgency: Order of reading: 2 for what should be changed, 1 for what should be known,
            0 if everything is as it should be.

    Example:
        ```python
        from keras_infobottleneck.auditing import Verdict

        verdict = Verdict("Nothing needs to be done.", "the norms of the weights", "none")
        print(verdict.statement)
        ```

        ```text
        Nothing needs to be done.
        ```
    """

    statement: str
    evidence: str
    uncertainty: str
    urgency: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Returns plain strings and a number, for JSON."""
        return dataclasses.asdict(self)


def listed(names: Sequence[str], most: int | None = None) -> str:
    """The names with commas; if more than `most`, their number, the first two and the last."""
    if most is None or len(names) <= most:
        return ", ".join(names)
    return f"{len(names)}: {', '.join(names[:2])} to {names[-1]}"


def omissions_by_reason(
    omissions: Iterable[Omission], most_places: int | None = None
) -> dict[str, str]:
    """Each reason once, with everything that is missing for it: parts, and places in them.

    If there are more than `most_places` places, they are not named one by one.

    Messages that differ only in what was received, such as the eigenvalue of each layer, are one
    reason, given without it.
    """
    omissions = list(omissions)
    received: dict[str, set[str]] = {}
    for omission in omissions:
        received.setdefault(_without_received(omission.reason), set()).add(omission.reason)
    groups: dict[str, dict[str, list[str]]] = {}
    for omission in omissions:
        shared = _without_received(omission.reason)
        reason = omission.reason if len(received[shared]) == 1 else shared
        places = groups.setdefault(reason, {}).setdefault(omission.part, [])
        if omission.place and omission.place not in places:
            places.append(omission.place)
    found = {}
    for reason, parts in groups.items():
        same: dict[tuple[str, ...], list[str]] = {}  # parts that miss the same places
        for part, places in parts.items():
            same.setdefault(tuple(places), []).append(part)
        found[reason] = "; ".join(
            ", ".join(names) + (f" of {listed(places, most_places)}" if places else "")
            for places, names in same.items()
        )
    return found


def _without_received(reason: str) -> str:
    """A message without the received value at its end."""
    return reason.partition(" Received: ")[0]


def number_in_words(value: float, error: float | None = None, *, digits: int = 4) -> str:
    """Text of a number: this many digits, or as many as an error with two digits allows."""
    if not math.isfinite(value):
        return "infinite" if value > 0 else str(value)
    if error is None or not 0 < error < math.inf:
        return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def counterparts(
    readings: list[Reading], baseline: list[Reading]
) -> dict[tuple[str, str], Reading]:
    """The baseline's number for each reading that has one: of the same measure at the same place.

    Paths of weights change when a network is converted or nested in another
    (`sequential/dense/kernel`, `dense/kernel`): the remaining ones are matched by layer and weight,
    if these identify one number on either side.
    """
    theirs = {(reading.name, reading.where): reading for reading in baseline}
    found = {
        (reading.name, reading.where): theirs.pop((reading.name, reading.where))
        for reading in readings
        if (reading.name, reading.where) in theirs
    }
    left = [reading for reading in readings if (reading.name, reading.where) not in found]
    mine, others = _by_layer_and_weight(left), _by_layer_and_weight(theirs.values())
    for key in mine.keys() & others.keys():
        if len(mine[key]) == len(others[key]) == 1:
            found[mine[key][0].name, mine[key][0].where] = others[key][0]
    return found


def _by_layer_and_weight(readings: Iterable[Reading]) -> dict[tuple[str, ...], list[Reading]]:
    """Numbers by measure and the last two parts of a weight's path."""
    found: dict[tuple[str, ...], list[Reading]] = {}
    for reading in readings:
        if "/" in reading.where:
            key = (reading.name, *reading.where.split("/")[-2:])
            found.setdefault(key, []).append(reading)
    return found
