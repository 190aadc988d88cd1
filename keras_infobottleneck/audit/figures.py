"""The plots of a report, as images that a page can hold inside."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from keras_infobottleneck import plots

if TYPE_CHECKING:
    from keras_infobottleneck.audit.report import InformationReport

__all__ = ["images_of"]

MAX_BARS = 40


def images_of(report: InformationReport) -> dict[str, list[tuple[str, str]]]:
    """Part to its images, each a data address and a sentence that says what it shows.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    found: dict[str, list[tuple[str, str]]] = {}
    for part, caption, draw, height in _drawings(report):
        figure = Figure(figsize=(6.4, height), layout="constrained")
        draw(figure.subplots())
        stream = io.BytesIO()
        # Without a date or a version the same report gives the same page.
        figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
        address = base64.b64encode(stream.getvalue()).decode("ascii")
        found.setdefault(part, []).append((f"data:image/png;base64,{address}", caption))
    return found


def _drawings(report: InformationReport) -> list[tuple[str, str, Callable, float]]:
    """Part, caption, what draws into axes, and the height in inches."""
    drawings = []

    def add(part, caption, draw, height=3.4):
        drawings.append((part, caption, draw, height))

    def add_bars(part, caption, nats, **options):
        if 1 < len(nats) <= MAX_BARS:
            height = 1.0 + 0.3 * len(nats)
            bars = plots.plot_information_by_layer
            add(part, caption, lambda ax: bars(nats, ax=ax, **options), height)

    held, curve = report.weights, report.curve
    if report.fisher is not None:
        values = report.fisher.eigenvalues()
        level = None
        if held is not None and isinstance(held.prior_scale, float):
            level = held.beta / held.prior_scale**2
        add(
            "fisher",
            "Entries of the Fisher diagonal by rank. The code spends next to nothing on weights "
            "far below the dashed line, beta / prior_scale^2.",
            lambda ax: plots.plot_spectrum(
                values, level=level, level_label="beta / prior_scale²", ax=ax
            ),
        )
    if held is not None:
        add_bars("weights", "Nats by layer or weight.", held.by_variable)
    if curve is not None:
        loss = curve.expected_loss if report.task is not None else None
        add(
            "weights",
            "Nats that the code holds at each price of a nat, and the loss under its noise; the "
            "dotted line is the price 1/N, weight_beta = 1. Where the loss passes that of "
            "guessing, the approximation has ended.",
            lambda ax: plots.plot_information_curve(
                curve.beta, curve.nats, loss, marked=1 / curve.num_examples, ax=ax
            ),
        )
    pruning = report.pruning
    if pruning is not None:
        scores = {}
        if len(pruning.accuracy):
            scores = {"thresholds": pruning.thresholds, "scores": pruning.accuracy}
        add(
            "weights",
            "Share of the weights whose |mean| is at least so many standard deviations of their "
            "noise, and the accuracy with the others set to zero.",
            lambda ax: plots.plot_pruning_curve(pruning.quantiles, ax=ax, **scores),
        )
    layers = report.layers
    paid = {name: layer.activations for name, layer in layers.items() if layer.activations}
    add_bars("activations", "Nats by layer.", {name: each.nats for name, each in paid.items()})
    for name, each in paid.items():
        if each.by_unit.ndim == 3:
            add(
                "activations",
                f"Nats by place of layer {name}, mean over examples, summed over channels.",
                lambda ax, map=each.by_unit: plots.plot_information_map(map, ax=ax),
            )
    felt = {name: layer.effective for name, layer in layers.items() if layer.effective}
    for name, each in felt.items():
        mean = each.sensitivity.mean(0)
        if mean.ndim == 3 and np.all(np.isfinite(mean)) and mean.any():
            add(
                "effective",
                f"How much layer {name} feels each place of the input, mean over examples.",
                lambda ax, map=mean: plots.plot_information_map(
                    map, label="per squared unit of input", ax=ax
                ),
            )
    points = {
        name: layer
        for name, layer in layers.items()
        if layer.relevance and layer.relevance.num_states < layer.relevance.num_samples
    }
    if points:
        add("relevance", *_relevance_plane(report, points), 4.2)
    for part, caption in (
        ("total_correlation", "Total correlation by layer; crosses are the null."),
        ("nuisance", "Nats about the nuisance by layer; crosses are the null."),
    ):
        results = {name: getattr(layer, part) for name, layer in layers.items()}
        results = {name: each for name, each in results.items() if each is not None}
        add_bars(
            part,
            caption,
            {name: each.nats for name, each in results.items()},
            errors={name: each.standard_error for name, each in results.items()},
            null={name: each.null for name, each in results.items()},
        )
    if report.complexity is not None:
        ratio = report.complexity.against_shuffled
        add(
            "complexity",
            "Complexity of each bit plane over that of its shuffled self; the dashed line, 1, is "
            "no arrangement.",
            lambda ax: plots.plot_bit_planes(ratio.by_plane, std=ratio.by_plane_std, ax=ax),
        )
    return drawings


def _relevance_plane(report: InformationReport, points) -> tuple[str, Callable]:
    """Layers on the plane, each with its null at equal resolution."""
    nulls = []
    for layer in points.values():
        if layer.relevance_null is not None:
            at = layer.relevance.resolution
            mean = layer.relevance_null.at(at)[0]
            if not math.isnan(mean):
                nulls.append((at, mean))

    def draw(ax):
        plots.plot_resolution_relevance(
            [layer.relevance.resolution for layer in points.values()],
            [layer.relevance.relevance for layer in points.values()],
            labels=list(points),
            hull=report.maximum_relevance.hull(),
            null=tuple(zip(*nulls, strict=True)) if nulls else None,
            name="layers",
            ax=ax,
        )

    caption = (
        "Layers in their order, with the most relevance that a sample of this size can have; "
        "crosses are what independent units show at the same resolution."
    )
    return caption, draw
