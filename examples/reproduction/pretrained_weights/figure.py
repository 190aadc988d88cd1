"""Figure of the experiment: ratios of the top plane, network by network."""

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt

KINDS = {
    "uniform start": "random start",
    "shuffled": "values shuffled",
    "within_rows": "within rows",
    "within_columns": "within columns",
    "positions": "kernel positions",
    "renumbered": "units renumbered",
}


def draw(records: list[dict], path) -> None:
    """A row for every network, a mark for every arrangement that its top plane is set against."""
    figure, axis = plt.subplots(figsize=(8, 1 + 0.4 * len(records)), layout="constrained")
    for index, (kind, label) in enumerate(KINDS.items()):
        found = [
            (row, record["ratio_by_plane"][kind][-1])
            for row, record in enumerate(records)
            if kind in record["ratio_by_plane"]
        ]
        rows, ratios = np.transpose(found) if found else ([], [])
        axis.plot(ratios, rows, "osDv*x"[index], label=label, markersize=6, alpha=0.7)
    axis.axvline(1, color="0.7", zorder=0)
    axis.set_yticks(range(len(records)), [record["network"] for record in records])
    axis.invert_yaxis()
    axis.set(xlabel="complexity of the top plane, of that of the other arrangement")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=90)
    plt.close(figure)
