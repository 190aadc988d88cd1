"""Softmax regression with a penalty, in NumPy: the probe of activations."""

from __future__ import annotations

import numpy as np

__all__ = ["softmax_log_probabilities", "softmax_regression"]


def softmax_regression(
    z: np.ndarray, labels: np.ndarray, num_classes: int, penalty: float, num_steps: int
) -> np.ndarray:
    """Weights ``[features, classes]`` for the sum of cross-entropies plus ``penalty/2 |w|^2``.

    The Hessian is nowhere above ``z^T z / 2 + penalty`` (Böhning 1992), so steps by the inverse of
    that matrix, which is factored once, never go up; they are accelerated (Nesterov 1983), and
    start again where the acceleration would go up. Deterministic, and so a part of a code: whoever
    has the same labels gets the same weights, converged or not.

    Args:
        z: `[examples, features]`; a column of ones makes an intercept.
        labels: `[examples]`, classes.
        num_classes: how many there are.
        penalty: precision of a normal prior around zero.
        num_steps: how many steps are made.
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
        if np.sum(gradient * (new - w)) > 0:  # against the gradient no more
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
