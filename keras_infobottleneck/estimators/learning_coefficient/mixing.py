"""Diagnostics of Markov chains: R-hat, and the effective sample size.

Implemented here because TensorFlow Probability's functions print a warning about complex numbers at
each call, and take seconds to import.
"""

from __future__ import annotations

import numpy as np

__all__ = ["effective_sample_size", "r_hat"]


def r_hat(chains: np.ndarray) -> float:
    """Potential scale reduction: spread over all draws relative to that within chains.

    Args:
        chains: `[chains, draws]`; halves of chains also reveal drift.

    References:
        Gelman & Rubin (1992); Vehtari et al. (2021), arXiv 1903.08008, equations 1 to 4.
    """
    within = chains.var(1, ddof=1).mean()
    between = chains.mean(1).var(ddof=1)
    if within <= 0:
        return 1.0 if between <= 0 else float("inf")
    draws = chains.shape[1]
    return float(np.sqrt((draws - 1) / draws + between / within))


def effective_sample_size(chains: np.ndarray) -> float:
    """Number of independent draws whose mean has the same standard error as that of these.

    Autocorrelations of all chains are summed in pairs while the pairs are positive, and are made
    monotone, as those of a reversible chain are (Geyer's initial monotone sequence).

    Args:
        chains: Draws, `[chains, draws]`.

    References:
        Geyer (1992), "Practical Markov chain Monte Carlo"; Vehtari et al. (2021), arXiv 1903.08008,
        equations 10 to 13.
    """
    num_chains, num_draws = chains.shape
    within = chains.var(1, ddof=1).mean()
    total = (num_draws - 1) / num_draws * within + chains.mean(1).var(ddof=1)
    if not total > 0:
        return float(num_chains * num_draws)
    centered = chains - chains.mean(1, keepdims=True)
    spectrum = np.fft.rfft(centered, 2 * num_draws, axis=1)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :num_draws].mean(0) / num_draws
    correlation = 1.0 - (within - covariance) / total
    correlation[0] = 1.0
    pairs = correlation[: num_draws // 2 * 2].reshape(-1, 2).sum(1)
    positive = np.append(pairs > 0, False)
    kept = np.minimum.accumulate(pairs[: int(np.argmin(positive))])
    time = max(2.0 * kept.sum() - 1.0, 1.0 / np.log10(num_chains * num_draws + 10))
    return float(num_chains * num_draws / time)
