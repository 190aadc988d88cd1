"""Figure of the experiment: for each network, what is seen and what is certified."""

import os

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

BARS = {
    "on the test set": lambda row: row["randomized_error_on_the_test_set"],
    "on the certificate's examples": lambda row: row["certificate"]["randomized_error"],
    "certified, posterior": lambda row: row["certificate"]["error_bound"],
    "certified, prior alone": lambda row: row["certificate_of_the_prior"]["error_bound"],
}


def draw(rows: dict[str, dict], path: os.PathLike) -> None:
    """Four bars for each network."""
    figure, axis = plt.subplots(figsize=(7.5, 1.2 + 1.3 * len(rows)))
    for index, (label, value) in enumerate(BARS.items()):
        heights = [position + 0.2 * index for position in range(len(rows))]
        drawn = axis.barh(
            heights, [value(row) for row in rows.values()], 0.18, color=f"C{index}", label=label
        )
        axis.bar_label(drawn, fmt="{:.2%}", padding=3, fontsize=8)
    axis.set_yticks([position + 0.3 for position in range(len(rows))], list(rows))
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter("{x:.1%}")
    axis.margins(x=0.12)
    axis.set_xlabel("error of the network that draws its weights")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
