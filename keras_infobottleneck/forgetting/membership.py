"""An attack that recognises members of a training set by their losses."""

from __future__ import annotations

import numpy as np

from keras_infobottleneck.results.estimate import Estimate

__all__ = ["membership_attack"]


def membership_attack(members: np.ndarray, others: np.ndarray) -> Estimate:
    """Area under the ROC curve of a membership attack by loss thresholds; 0.5 is chance.

    Exact for the losses given; the standard error is that of Hanley and McNeil, 1982.

    Args:
        members: Losses of examples that the network was trained on, `[members]`.
        others: Losses of examples that it never saw, `[others]`.
    """
    losses = np.concatenate([members, others])
    values, places = np.unique(-losses, return_inverse=True)
    counts = np.bincount(places, minlength=len(values))
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # ties get their mean rank
    n, m = len(members), len(others)
    area = (ranks[:n].sum() - n * (n + 1) / 2) / (n * m)
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (one - area**2) + (m - 1) * (two - area**2)) / (n * m)
    return Estimate(float(area), float(np.sqrt(max(variance, 0.0))))
