"""Reads the fields of a file of a Fisher matrix and checks each of them."""

from __future__ import annotations

import itertools

from keras_infobottleneck.estimators.fisher.label_draws import LabelDraws
from keras_infobottleneck.introspection.contents import renumbered
from keras_infobottleneck.linear_algebra.layout import Layout
from keras_infobottleneck.results.archives import Archive

__all__ = ["draws_from", "layout_from", "precision_from"]

FLOATS = ("float16", "bfloat16", "float32", "float64")


def precision_from(archive: Archive) -> str:
    """The compute dtypes, joined by " and "; empty if the result had none."""
    said = archive.text("precision")
    if said and not set(said.split(" and ")) <= set(FLOATS):
        archive.refuse(f"with a precision of {said[:40]!r}")
    return said


def draws_from(archive: Archive, num_examples: int) -> tuple[LabelDraws, ...]:
    """The draws of labels: sorted, disjoint, and of at most `num_examples` examples."""
    rows = archive.take("draws")
    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind != "i":
        archive.refuse("with draws that are none")
    draws = tuple(LabelDraws(*map(int, row)) for row in rows)
    pairs = itertools.pairwise(draws)
    apart = all(a.seed < b.seed or (a.seed == b.seed and a.end < b.first_example) for a, b in pairs)
    are_draws = all(min(row) >= 0 and row.num_examples > 0 for row in draws)
    if not (are_draws and apart and sum(row.num_examples for row in draws) <= num_examples):
        archive.refuse("with draws that cannot be")
    return draws


def layout_from(archive: Archive, version: int) -> Layout:
    """Names and shapes of the weights."""
    names, words = archive.texts("paths"), archive.texts("shapes")
    names = renumbered(names) if version == 1 else names
    shapes = []
    for word in words:
        sides = word.split(",") if word else []
        if not all(side.isdecimal() and int(side[:19]) > 0 for side in sides):
            archive.refuse("with shapes that are none")
        shapes.append(tuple(int(side[:19]) for side in sides))
    if len(names) != len(shapes) or len(set(names)) < len(names):
        archive.refuse(f"with {len(set(names))} paths of {len(shapes)} weights")
    return Layout(names, tuple(shapes))
