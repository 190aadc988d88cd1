"""The order of the work: the model, then layer by layer, each part timed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from functools import partial

import keras

from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.part import AuditPart, LayerPart
from keras_infobottleneck.auditing.plan import AuditPlan
from keras_infobottleneck.auditing.subject import HiddenLayer

__all__ = ["measure"]


def measure(
    exam: Examination, plan: AuditPlan, parts: Sequence[AuditPart], verbose: int = 0
) -> dict[tuple[str, str], float]:
    """Fills an examination; nothing that an estimator refuses makes it fail.

    Returns:
        Part and layer, or "all", to the seconds that they took; what several parts share counts
        for the first.
    """
    chosen = [part for part in parts if part.name in plan]
    of_layers = [part for part in chosen if isinstance(part, LayerPart)]
    of_model = [part for part in chosen if not isinstance(part, LayerPart)]
    exam.wanted = _wanted_activations(exam, plan, of_layers)
    seconds: dict[tuple[str, str], float] = {}
    steps = len(of_model) + len(plan.layers)
    progress = keras.utils.Progbar(steps, verbose=verbose, unit_name="measurement")
    for part in of_model:
        with _timed(seconds, part.name, "all"):
            _of_model(exam, part)
        progress.add(1)
    for name in plan.layers:
        found = exam.layers.setdefault(name, {"views": {}})
        for part in of_layers:
            for layer in [each for each in plan.taken[part.name] if each.name == name]:
                if layer.shape:
                    found["num_units"] = math.prod(layer.shape)
                with _timed(seconds, part.name, name):
                    of_layer = partial(part.measure_layer, exam, layer)
                    found.update(exam.attempt(part.name, name, of_layer) or {})
                if layer.in_words:
                    found["views"][part.name] = layer.in_words
        progress.add(1)
    for part in of_layers:
        with _timed(seconds, part.name, "all"):
            _of_model(exam, part)
    return seconds


def _wanted_activations(
    exam: Examination, plan: AuditPlan, parts: Sequence[LayerPart]
) -> tuple[tuple[HiddenLayer, int], ...]:
    """What parts will take of the layers, in this order, and of how many examples at most."""
    wanted: dict[HiddenLayer, int] = {}
    takers = [part for part in parts if part.takes_activations]
    for name in plan.layers:
        for part in takers:
            for layer in plan.taken[part.name]:
                if layer.name == name:
                    wanted[layer] = max(wanted.get(layer, 0), exam.counts[part.name])
    return tuple(wanted.items())


def _of_model(exam: Examination, part: AuditPart) -> None:
    """What a part measures of the model as a whole."""
    found = exam.attempt(part.name, "all", partial(part.measure, exam))
    exam.results.update(found or {})


@contextlib.contextmanager
def _timed(seconds: dict[tuple[str, str], float], part: str, where: str) -> Iterator[None]:
    """Keeps how long it takes what is done meanwhile."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[part, where] = time.perf_counter() - start
