"""Figure of the experiment: heat maps, errors against beta, information against the weights."""

import matplotlib
import numpy as np

from reproduction.occlusions.claims import by_beta

matplotlib.use("Agg")

import matplotlib.pyplot as plt


def draw(records: list[dict], path) -> None:
    """Three images with their heat maps above, the curves of the three experiments below."""
    found = {
        task: [record for record in records if record["task"] == task]
        for task in ("clutter", "superimposed", "occlusion")
    }
    figure = plt.figure(figsize=(11, 6.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.1, 1])
    _draw_maps(top, found["clutter"])
    left, middle, right = bottom.subplots(1, 3)
    layers = found["clutter"][0]["layers"]
    _curve(left, found["clutter"], "test error", "k", lambda r: r["error"])
    for i, name in enumerate(layers):
        area = {k: lambda r, n=name, k=k: r["layers"][n][k] for k in layers[name]}
        _curve(left, found["clutter"], f"{name}: digit", f"C{i}", area["digit"])
        against = area["digit_against_clutter"]
        _curve(left, found["clutter"], "against clutter", f"C{i}", against, linestyle="--")
    left.set(title="clutter: areas under the ROC", xlabel="beta N")
    _curve(middle, found["superimposed"], "test error", "k", lambda r: r["error"])
    read = "of the digit upon it"
    _curve(middle, found["superimposed"], read, "C3", lambda r: r["nuisance_error"])
    middle.set(title="superimposed: errors", xlabel="beta N")
    for axis in (left, middle):
        axis.set_xscale("symlog", linthresh=0.1)
    runs = sorted(found["occlusion"], key=lambda record: record["weight_information"])
    weights = [record["weight_information"] for record in runs]
    for name, color in (("pattern", "C3"), ("class", "C2")):
        nats = [record["about"][name]["nats"] for record in runs]
        right.plot(weights, nats, "o", color=color, label=f"about the {name}")
    right.plot(weights, [record["bound"] / 20 for record in runs], "k:", label="bound / 20")
    right.set(title="occlusion: nats", xlabel="information in the weights, nats")
    left.legend(frameon=False, fontsize=7, ncols=2, loc="center", bbox_to_anchor=(0.5, 0.38))
    for axis in (middle, right):
        axis.legend(frameon=False, fontsize=7)
    for axis in (left, middle, right):
        axis.set_ylim(bottom=0)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _draw_maps(figure, records):
    """Each image of the first seed beside the heat map of every layer, at all betas in a row."""
    records = [record for record in records if record["seed"] == records[0]["seed"]]
    names = list(records[0]["layers"])
    image = np.array(records[0]["pictures"]["image"][0])
    axes = np.atleast_2d(figure.subplots(len(names), 1 + len(records), squeeze=False))
    for row, name in zip(axes, names, strict=True):
        row[0].imshow(image, cmap="gray")
        row[0].set_title("image", fontsize=8)
        for axis, record in zip(row[1:], records, strict=True):
            axis.imshow(record["pictures"][name][0], cmap="magma")
            axis.set_title(f"{name}, beta N = {record['beta']:g}", fontsize=8)
        for axis in row:
            axis.axis("off")


def _curve(axis, records, label, color, value, **style):
    """Means over seeds with standard errors, against beta."""
    means = by_beta(records, value)
    errors = [each["standard_error"] or 0 for each in means.values()]
    mean = [each["mean"] for each in means.values()]
    axis.errorbar(list(means), mean, errors, marker=".", color=color, label=label, **style)
