"""Information against its price, and what the price costs in loss."""

from __future__ import annotations

import numpy as np

__all__ = ["plot_information_curve"]


def plot_information_curve(beta, nats, expected_loss=None, *, marked: float | None = None, ax=None):
    """Draw nats over the price, and on a second axis the expected loss.

    Args:
        beta: `[points]`, prices, increasing and positive.
        nats: `[points]`.
        expected_loss: `[points]`, or None.
        marked: a price to mark, such as `1 / N`.
        ax: axes to draw into; new ones by default.

    Returns:
        The matplotlib axes; those of the loss share its horizontal axis.

    Raises:
        ValueError: arrays that do not fit together, or prices that are not positive and increasing.
    """
    beta, nats = np.asarray(beta, float), np.asarray(nats, float)
    loss = None if expected_loss is None else np.asarray(expected_loss, float)
    fits = beta.ndim == 1 and len(beta) and beta.shape == nats.shape
    if not fits or (loss is not None and loss.shape != beta.shape):
        raise ValueError(
            "`beta`, `nats` and `expected_loss` must be vectors of one length. Received: shapes "
            f"{beta.shape}, {nats.shape} and {None if loss is None else loss.shape}"
        )
    if not beta[0] > 0 or not np.all(np.diff(beta) > 0):
        raise ValueError(f"`beta` must be positive and increasing. Received: beta={beta.tolist()}")
    import matplotlib.pyplot as plt

    ax = plt.subplots()[1] if ax is None else ax
    lines = ax.loglog(beta, nats, color="black", label="information in the weights")
    ax.set(
        xlabel="beta, price of a nat relative to the mean loss",
        ylabel="information in the weights, nats",
    )
    if loss is not None:
        right = ax.twinx()
        lines += right.plot(beta, loss, "--", color="0.4", label="expected loss")
        right.set_ylabel("expected loss, nats")
        right.set_yscale("log" if np.all(loss > 0) else "linear")
    if marked is not None:
        ax.axvline(marked, color="0.4", linestyle=":", linewidth=1)
    ax.legend(
        lines,
        [line.get_label() for line in lines],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
    )
    return ax
