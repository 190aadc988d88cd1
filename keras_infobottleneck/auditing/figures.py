"""The plots of a report, as images that a page can hold inside."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from keras_infobottleneck import plots
from keras_infobottleneck.auditing.findings import Findings

__all__ = ["images_of"]

# A single bar shows nothing that its number does not, and more than these cannot be read.
MIN_BARS, MAX_BARS = 2, 40


@dataclasses.dataclass(frozen=True)
class _Drawing:
    """What to draw, where it belongs, and what it shows in words."""

    part: str
    caption: str
    draw: Callable[..., Any]
    height: float = 3.4


def images_of(findings: Findings) -> dict[str, list[tuple[str, str]]]:
    """Part to its images, each a data address and a sentence that says what it shows.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    found: dict[str, list[tuple[str, str]]] = {}
    for source in (_of_fisher, _of_weights, _of_layers, _of_relevance, _of_complexity):
        for drawing in source(findings):
            figure = Figure(figsize=(6.4, drawing.height), layout="constrained")
            drawing.draw(ax=figure.subplots())
            stream = io.BytesIO()
            # Without its version the same report gives the same page.
            figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
            address = base64.b64encode(stream.getvalue()).decode("ascii")
            image = f"data:image/png;base64,{address}", drawing.caption
            found.setdefault(drawing.part, []).append(image)
    return found


def _bars(part: str, caption: str, nats: Mapping[str, float], **options) -> Iterator[_Drawing]:
    """A bar for each layer, where there are several."""
    if MIN_BARS <= len(nats) <= MAX_BARS:
        draw = partial(plots.plot_information_by_layer, nats, **options)
        yield _Drawing(part, caption, draw, 1.0 + 0.3 * len(nats))


def _of_fisher(findings: Findings) -> Iterator[_Drawing]:
    if findings.fisher is None:
        return
    values, held, options = findings.fisher.eigenvalues(), findings.weights, {}
    if not np.any(values > 0):
        return
    caption = "Entries of the Fisher diagonal by rank."
    if held is not None and isinstance(held.prior_scale, float) and 0 < held.prior_scale < np.inf:
        options = {"level": held.beta / held.prior_scale**2, "level_label": "beta / prior_scale²"}
        caption += " The code spends next to nothing on weights far below the dashed line."
    yield _Drawing("fisher", caption, partial(plots.plot_spectrum, values, **options))


def _of_weights(findings: Findings) -> Iterator[_Drawing]:
    held, curve, pruning = findings.weights, findings.curve, findings.pruning
    if held is not None:
        yield from _bars("weights", "Nats by layer or weight.", held.by_variable)
    if curve is not None and np.all(curve.nats > 0):
        loss = curve.expected_loss if np.all(np.isfinite(curve.expected_loss)) else None
        caption = (
            "Nats that the code holds at each price of a nat, and the loss under its noise; the "
            "dotted line is the price 1/N, weight_beta = 1. Where the loss nears that of guessing, "
            "the approximation has ended."
        )
        draw = partial(
            plots.plot_information_curve,
            curve.beta,
            curve.nats,
            loss,
            marked=1 / curve.num_examples,
        )
        yield _Drawing("weights", caption, draw)
    if pruning is not None:
        caption = "Share of the weights at or above a signal-to-noise ratio"
        options = {}
        if len(pruning.accuracy):
            caption += ", and the accuracy with the others set to zero"
            options = {"thresholds": pruning.thresholds, "scores": pruning.accuracy}
        draw = partial(plots.plot_pruning_curve, pruning.quantiles, **options)
        yield _Drawing("weights", f"{caption}.", draw)


def _of_layers(findings: Findings) -> Iterator[_Drawing]:
    of_layers = findings.layers.items()
    paid = {name: layer.activations for name, layer in of_layers if layer.activations}
    nats = {name: each.nats for name, each in paid.items()}
    yield from _bars("activations", "Nats that each layer pays for.", nats)
    for name, each in paid.items():
        if each.by_unit.ndim == 3:
            caption = f"Nats by place of layer {name}, mean over examples, summed over channels."
            yield _Drawing(
                "activations", caption, partial(plots.plot_information_map, each.by_unit)
            )
    felt = {name: layer.effective for name, layer in of_layers if layer.effective}
    for name, each in felt.items():
        mean = each.sensitivity.mean(0)
        if mean.ndim == 3 and np.all(np.isfinite(mean)):
            caption = f"How much layer {name} feels each place of the input, mean over examples."
            options = {"label": "per squared unit of input"}
            draw = partial(plots.plot_information_map, mean, **options)
            yield _Drawing("effective", caption, draw)
    for part, what in (("total_correlation", "Total correlation"), ("nuisance", "Nats")):
        results = {name: getattr(layer, part) for name, layer in of_layers if getattr(layer, part)}
        yield from _bars(
            part,
            f"{what} by layer; crosses are the null.",
            {name: each.nats for name, each in results.items()},
            errors={name: each.standard_error for name, each in results.items()},
            null={name: each.null for name, each in results.items()},
        )


def _of_relevance(findings: Findings) -> Iterator[_Drawing]:
    """Layers on the plane, each with its null at equal resolution."""
    points, nulls = {}, []
    for name, layer in findings.layers.items():
        point, null = layer.relevance, layer.relevance_null
        if point is None or point.num_states == point.num_samples:
            continue
        points[name] = point
        mean = math.nan if null is None else null.at(point.resolution)[0]
        if not math.isnan(mean):
            nulls.append((point.resolution, mean))
    if not points:
        return
    caption = (
        "Layers in their order, with the most relevance that a sample of this size can have; "
        "crosses are what independent units show at the same resolution."
    )
    draw = partial(
        plots.plot_resolution_relevance,
        [point.resolution for point in points.values()],
        [point.relevance for point in points.values()],
        labels=list(points),
        hull=findings.maximum_relevance.hull(),
        null=tuple(zip(*nulls, strict=True)) if nulls else None,
        name="layers",
    )
    yield _Drawing("relevance", caption, draw, 4.2)


def _of_complexity(findings: Findings) -> Iterator[_Drawing]:
    if findings.complexity is None:
        return
    ratio = findings.complexity.against_shuffled
    caption = (
        "Complexity of each bit plane over that of its shuffled self; the dashed line, 1, is no "
        "arrangement."
    )
    draw = partial(plots.plot_bit_planes, ratio.by_plane, std=ratio.by_plane_std)
    yield _Drawing("complexity", caption, draw)
