"""Figure of the experiment, from its records."""

import matplotlib
import numpy as np

import keras_infobottleneck as kib
from reproduction.weight_complexity.reading import MEASURES, by_budget, column, regimens

matplotlib.use("Agg")

import matplotlib.pyplot as plt


def plot(records: list[dict], path) -> None:
    """Six panels: budgets, accuracy, overfitting, planes, bit widths, grokking; or the last."""
    budgets = [record for record in records if record["task"] == "budgets"]
    grokking = [record for record in records if record["task"] == "grokking"]
    shape, size = ((2, 3), (15, 8)) if budgets else ((1, 1), (6, 4))
    figure, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
    if budgets:
        plot_budgets(budgets, axes[0, 0], axes[0, 1])
        plot_overfitting(budgets, axes[0, 2])
        plot_planes(budgets, axes[1, 0], axes[1, 1])
    if grokking:
        plot_grokking(grokking, axes[-1, -1])
    for axis in axes.flat:
        if axis.has_data():
            axis.legend(fontsize=7)
        else:
            axis.set_axis_off()
    figure.savefig(path, dpi=65)
    plt.close(figure)


def plot_budgets(records: list[dict], left, right) -> None:
    """Draw complexity by data budget, and by test accuracy."""
    for i, regimen in enumerate(regimens(records)):
        found = [r for r in records if r["regimen"] == regimen]
        for measure, line in zip(MEASURES, ("-", ":"), strict=True):
            means = by_budget(found, measure)
            left.plot(
                *zip(*means.items(), strict=True), f"C{i}o{line}", label=f"{regimen}, {measure}"
            )
        accuracy = [r["test_accuracy"] for r in found]
        right.plot(accuracy, [r["ratio"] for r in found], f"C{i}o", label=regimen)
    left.set(title="complexity by data budget", xlabel="examples", xscale="log")
    right.set(title="complexity / initial", xlabel="test accuracy")


def plot_overfitting(records: list[dict], axis) -> None:
    """Draw complexity and test loss along the runs on the fewest examples."""
    losses = axis.twinx()
    for i, regimen in enumerate(regimens(records)):
        found = (r for r in records if r["regimen"] == regimen and r["seed"] == 0)
        run = min(found, key=lambda r: r["budget"])
        axis.plot(column(run, "epoch"), column(run, "qubd_ratio"), f"C{i}", label=regimen)
        losses.plot(column(run, "epoch"), column(run, "test_crossentropy"), f"C{i}:")
    axis.set(title="fewest examples: complexity / initial", xlabel="share of training, 1/20")
    losses.set(ylabel="test loss, nats (dots)", yscale="log")


def plot_planes(records: list[dict], left, right) -> None:
    """Draw ratios by bit plane and accuracy by bit width, at the largest budget."""
    largest = max(record["budget"] for record in records)
    planes = {}
    for i, regimen in enumerate(regimens(records)):
        found = [r for r in records if r["regimen"] == regimen and r["budget"] == largest]
        planes[f"{regimen} / initial"] = np.mean([r["ratio_by_plane"] for r in found], axis=0)
        planes[f"{regimen} / shuffled"] = np.mean([r["shuffled_by_plane"] for r in found], axis=0)
        accuracy = np.mean([list(r["accuracy_at_bits"].values()) for r in found], axis=0)
        right.plot(
            [int(b) for b in found[0]["accuracy_at_bits"]], accuracy, f"C{i}o-", label=regimen
        )
    kib.plots.plot_bit_planes(planes, ax=left)
    left.set(title="largest budget, by bit plane")
    right.set(title="test accuracy at few bits", xlabel="bits per weight")


def plot_grokking(records: list[dict], axis) -> None:
    """Draw structure of the weights and test accuracy along training."""
    accuracy = axis.twinx()
    for record in records:
        updates = column(record, "epoch") * record["updates_per_row"]
        color = "C0" if record["weight_decay"] else "C1"
        label = f"weight decay {record['weight_decay']:g}" if record["seed"] == 0 else None
        axis.plot(updates, column(record, "qubd_shuffled_ratio"), color, label=label)
        accuracy.plot(updates, column(record, "test_accuracy"), f"{color}:")
    axis.set(title="grokking: complexity / shuffled", xlabel="updates", ylabel="complexity ratio")
    accuracy.set(ylabel="test accuracy (dots)")
