"""Figures of the experiment, from its records."""

import os

import matplotlib
import numpy as np

from reproduction.autoencoder.claims import summary

matplotlib.use("Agg")

import matplotlib.pyplot as plt

CURVES = {
    "total_correlation": "code, noise included",
    "of_means": "control: its means, without noise",
    "of_noise_alone": "control: cheapest code, same noise added",
}
TITLES = {
    "images": "held-out images",
    "rebuilt": "rebuilt",
    "samples": "drawn from the prior",
    "traversals": "units that tell most, -2 to 2 standard deviations",
}


def draw_total_correlation(records: list[dict], path) -> None:
    """Total correlation against beta with its controls; beside it what the code tells."""
    by_beta = summary(records)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for name, label in CURVES.items():
        found = {float(beta): row[name] for beta, row in by_beta.items() if name in row}
        draw_curve(left, found, label)
    null = max(abs(r["total_correlation"]["null"]) for r in records)
    left.axhline(null, color="gray", linestyle=":", label="largest null, units permuted apart")
    left.set(title="total correlation of the code", xlabel="beta", ylabel="nats")
    left.set(xscale="log", yscale="log")
    for name, label in {
        "error": "error of rebuilt images",
        "nats": "information of the code",
    }.items():
        draw_curve(right, {float(beta): row[name] for beta, row in by_beta.items()}, label)
    right.set(title="what is kept", xlabel="beta", ylabel="nats per image")
    right.set(xscale="log", yscale="log")
    for axis in (left, right):
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_curve(axis, by_beta, label) -> None:
    """Means with standard errors over seeds."""
    means = [row["mean"] for row in by_beta.values()]
    errors = [row["standard_error"] for row in by_beta.values()]
    axis.errorbar(list(by_beta), means, errors, marker="o", capsize=3, label=label)


def draw_pictures(records: list[dict], shape: tuple[int, int], folder) -> None:
    """Images, rebuilt and sampled, and traversals, at a low, the middle and the highest beta."""
    shown = sorted((r for r in records if "pictures" in r), key=lambda r: r["beta"])
    at_one = [r for r in shown if r["beta"] == 1.0]
    shown = [shown[0], *at_one, shown[-1]]
    figure, axes = plt.subplots(
        len(TITLES),
        len(shown),
        figsize=(9, 4.6),
        layout="constrained",
        gridspec_kw={"height_ratios": [len(shown[0]["pictures"][name]) for name in TITLES]},
    )
    for column, record in zip(axes.T, shown, strict=True):
        for axis, (name, title) in zip(column, TITLES.items(), strict=True):
            rows = np.array(record["pictures"][name])
            rows = rows.reshape(*rows.shape[:2], *shape)
            axis.imshow(np.concatenate(np.concatenate(rows, 1), 1), cmap="gray_r", vmin=0, vmax=255)
            axis.set_axis_off()
            axis.set_title(title, fontsize=8)
        column[0].set_title(f"beta = {record['beta']:g}\n\n{TITLES['images']}", fontsize=8)
    figure.savefig(os.path.join(folder, "autoencoder_pictures.png"), dpi=75)
    plt.close(figure)
