"""The share of weights that remain when the noisiest are pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_numbers, check_text, described, refusal
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_pruning_curve"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_pruning_curve(
    signal_to_noise: ArrayLike,
    *,
    thresholds: ArrayLike | None = None,
    scores: ArrayLike | None = None,
    score_label: str = "accuracy",
    ax: Any = None,
) -> Axes:
    """Draws the share of weights kept against the threshold of `|mean| / standard deviation`.

    Args:
        signal_to_noise: Ratios of all weights, of any shape, or a mapping from paths to such
            arrays, as returned by `VariationalWeights.signal_to_noise()`; not negative.
        thresholds: Thresholds, `[points]`, increasing and positive, at which a network was pruned.
        scores: Scores of the pruned network, `[points]`, drawn on a second axis.
        score_label: Name of the scores.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes; those of the scores share its horizontal axis.

    Raises:
        ValueError: Ratios are negative, NaN or missing, or thresholds and scores do not match.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        ratios = np.random.default_rng(0).lognormal(size=1000)
        ax = kib.plots.plot_pruning_curve(ratios, thresholds=[0.5, 1.0], scores=[0.93, 0.9])
        ax.figure.savefig("pruning.png")
        ```
    """
    parts = signal_to_noise.values() if isinstance(signal_to_noise, Mapping) else [signal_to_noise]
    flat = [check_numbers("signal_to_noise", part, None, 0, finite=False) for part in parts]
    ratios = np.sort(np.concatenate([np.zeros(0), *(part.reshape(-1) for part in flat)]))
    if not len(ratios):
        raise refusal(ValueError, "signal_to_noise", "hold at least one ratio", signal_to_noise)
    if (thresholds is None) != (scores is None):
        raise ValueError(
            "`thresholds` and `scores` must be given together. "
            f"Received: thresholds={described(thresholds)}, scores={described(scores)}"
        )
    if thresholds is not None:
        options = {"open_below": True, "increasing": True}
        thresholds = check_numbers("thresholds", thresholds, "[points]", 0, **options)
        scores = check_numbers("scores", scores, f"[{len(thresholds)}]")
    check_text("score_label", score_label)
    ax = axes_or_new(ax)
    low, high = (0.01, 100.0) if thresholds is None else (thresholds[0], thresholds[-1])
    grid = np.geomspace(min(low, 0.01), max(high, 100.0), 200)
    kept = 1 - np.searchsorted(ratios, grid) / len(ratios)
    ax.semilogx(grid, kept, color="black", label="weights kept")
    ax.set(xlabel="signal-to-noise threshold", ylabel="share of weights kept", ylim=(0, 1.02))
    lines: list[Any] = list(ax.get_lines())
    if thresholds is not None and scores is not None:
        right = ax.twinx()
        lines = [*lines, *right.plot(thresholds, scores, "o--", color="0.4", label=score_label)]
        right.set_ylabel(score_label)
        right.set_ylim(bottom=0)
    ax.legend(
        lines,
        [line.get_label() for line in lines],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
    )
    return ax
