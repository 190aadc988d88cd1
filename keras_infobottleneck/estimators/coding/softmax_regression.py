"""Softmax regression with a penalty, in NumPy: the probe of activations."""

from __future__ import annotations

import numpy as np

__all__ = ["softmax_log_probabilities", "softmax_regression"]


def softmax_regression(
    z: np.ndarray, labels: np.ndarray, num_classes: int, penalty: float, num_steps: int
) -> np.ndarray:
    """Weights ``[features, classes]`` for the sum of cross-entropies plus ``penalty/2 |w|^2``.

    The Hessian is at most ``z^T z / 2 + penalty`` everywhere (Böhning 1992). So steps by the
    inverse of that matrix, which is factored once, never increase the loss; they are accelerated
    (Nesterov 1983), with a restart where the acceleration would increase it. Deterministic, as part
    of a code must be: the receiver has the same labels and gets the same weights, converged or not.

    Args:
        z: `[examples, features]`; a column of ones gives an intercept.
        labels: `[examples]`, classes.
        num_classes: Number of classes.
        penalty: Precision of a normal prior around zero.
        num_steps: Number of steps.
    """
    values, vectors = np.linalg.eigh(z.T @ z)
    curvature = 0.5 * np.maximum(values, 0.0) + penalty
    target = np.eye(num_classes)[labels]
    w = ahead = np.zeros((z.shape[1], num_classes))
    momentum = 1.0
    for _ in range(num_steps):
        p = np.exp(softmax_log_probabilities(z, ahead))
        gradient = z.T @ (p - target) + penalty * ahead
        new = ahead - vectors @ ((vectors.T @ gradient) / curvature[:, None])
        if np.sum(gradient * (new - w)) > 0:  # the step goes uphill: restart
            momentum, ahead = 1.0, w
            continue
        larger = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = new + (momentum - 1.0) / larger * (new - w)
        w, momentum = new, larger
    return w


def softmax_log_probabilities(z: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Log-probabilities of the classes under softmax regression, `[examples, classes]`."""
    scores = z @ w
    scores -= scores.max(1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))
