"""Figure of the experiment, from its records."""

import matplotlib
import numpy as np

from reproduction.frame.verdicts import column, spread
from reproduction.information_during_training.claims import grouped

matplotlib.use("Agg")

import matplotlib.pyplot as plt


def draw(groups: dict[str, list[dict]], settings: dict, path) -> None:
    """Six panels: points of the plane above, images below."""
    figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
    draw_points(groups["points"], axes[0])
    draw_descent(groups["batch"], axes[1, 0])
    draw_classes(groups, axes[1, 1])
    draw_information(groups, settings, axes[1, 2])
    for axis in axes.flat:
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=65)
    plt.close(figure)


def draw_points(records: list[dict], axes) -> None:
    """Fisher matrix and information over the epochs, each seed a line."""
    panels = {
        "log det(I + N F), nats": {
            "log_det": "as trained (Fig. 1)",
            "rescaled_log_det": "logits rescaled to one entropy",
        },
        "trace": {
            "trace": "Fisher",
            "rescaled_trace": "Fisher, logits rescaled to one entropy",
            "jacobian": "derivatives of the logits",
        },
        "nats": {"information": "in the weights"}
        | {name: f"effective, {name}" for name in records[0]["rows"][0] if "hidden" in name},
    }
    for axis, (unit, curves) in zip(axes, panels.items(), strict=True):
        for number, (name, label) in enumerate(curves.items()):
            for record in records:
                rows = record["rows"]
                first = record is records[0]
                axis.plot(
                    column(rows, "epoch") + 1,
                    column(rows, name),
                    f"C{number}",
                    label=label if first else None,
                )
        axis.set(title="points on spirals", xlabel="epochs + 1", ylabel=unit, xscale="log")
    axes[1].set(yscale="log")
    axes[2].set(yscale="log")


def draw_descent(records: list[dict], axis) -> None:
    """Fisher trace along training, against the training loss."""
    for number, found in enumerate(grouped(records, "batch_size")):
        for record in found:
            rows = record["rows"][1:]
            label = f"batch size {record['batch_size']}" if record is found[0] else None
            axis.plot(column(rows, "loss"), column(rows, "trace"), f"C{number}", label=label)
            axis.plot(rows[-1]["loss"], rows[-1]["trace"], f"C{number}o", markersize=4)
    axis.set(title="equal epochs end at the dots", xlabel="training loss, nats", ylabel="trace")
    axis.set(xscale="log")
    axis.invert_xaxis()


def draw_classes(groups: dict[str, list[dict]], axis) -> None:
    """Final Fisher trace against the number of classes."""
    labels = {"classes": "as published", "equal_classes": "equal examples and outputs"}
    for group, label in labels.items():
        records = groups[group]
        by_classes = grouped(records, "classes")
        traces = [[r["rows"][-1]["trace"] for r in found] for found in by_classes]
        axis.errorbar(
            [found[0]["classes"] for found in by_classes],
            np.mean(traces, axis=1),
            [spread(found)["standard_error"] for found in traces],
            marker="o",
            capsize=3,
            label=label,
        )
    axis.set(title="after all epochs", xlabel="classes", ylabel="trace")


def draw_information(groups: dict[str, list[dict]], settings: dict, axis) -> None:
    """Information in the weights over epochs, in units of what the labels hold."""
    labels = groups["paying"][0]["num_examples"] * np.log(settings["num_classes"])
    batches = grouped(groups["batch"], "batch_size")
    for number, found in enumerate((batches[0], batches[-1])):
        for record in found:
            label = f"Gaussian code, batch size {record['batch_size']}"
            nats = column(record["rows"], "information") / labels
            once = label if record is found[0] else None
            axis.plot(column(record["rows"], "epoch"), nats, f"C{number}", label=once)
    for number, found in enumerate(grouped(groups["paying"], "weight_beta"), start=2):
        for record in found:
            label = f"trained to pay, weight_beta = {record['weight_beta']:g}, at its end"
            once = label if record is found[0] else None
            axis.axhline(record["information"] / labels, color=f"C{number}", label=once)
    axis.axhline(1.0, color="gray", linestyle=":", label="N log |Y|")
    axis.set(title="information in the weights", xlabel="epoch", ylabel="nats / (N log |Y|)")
    axis.set(yscale="log")
