"""The integer programme behind the curve of maximal relevance.

Choose how many states `m_k` are seen `k` times to maximise

    sum_k f_k(m_k),   f_k(m) = -q log q - mu q log(k / M),   q = k m / M,   sum_k k m_k = M.

Relaxing the constraint with a multiplier `lam` separates it over `k`; what is left of the distance
to that dual bound is closed, where `M` is small enough, by an exact dynamic programme over the few
pairs `(k, m)` that the bound does not rule out.
"""

from __future__ import annotations

import numpy as np

__all__ = ["solve_exactly", "solve_relaxed"]

# Float64 sums of a few thousand terms: pairs this close to the bound are kept.
ROUNDING = 1e-9


def solve_relaxed(num_samples: int, mu: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Solve to within a gap of the dual bound.

    Returns:
        The counts `k` used, the numbers of states `m_k`, and the gap to the dual bound, nats.
    """
    k, m, _, gap = _relaxation(num_samples, mu)
    return k[m > 0], m[m > 0], gap


def solve_exactly(num_samples: int, mu: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Solve exactly; the answer has the form of `solve_relaxed`, with gap 0.

    A pair `(k, m)` whose reduced cost exceeds the relaxation's gap is in no better solution, so
    the dynamic programme runs over the rest only.
    """
    _, _, multiplier, gap = _relaxation(num_samples, mu)
    k = np.repeat(np.arange(1, num_samples + 1), num_samples // np.arange(1, num_samples + 1) + 1)
    starts = np.flatnonzero(np.diff(k, prepend=0))
    m = np.arange(len(k)) - np.repeat(starts, np.diff(starts, append=len(k)))
    value = _reduced_value(k, m, num_samples, mu, multiplier)
    best = np.maximum.reduceat(value, starts)
    keep = best[k - 1] - value <= gap + ROUNDING
    k, m, value = k[keep], m[keep], value[keep]

    reached = np.full(num_samples + 1, -np.inf)  # best value of the items so far, by their weight
    reached[0] = 0.0
    choices = []  # per item, which of its m gave each weight its value
    items = np.split(np.arange(len(k)), np.flatnonzero(np.diff(k)) + 1)
    items = [item for item in items if len(item) > 1 or m[item[0]] > 0]
    for item in items:
        extended = np.full((len(item), num_samples + 1), -np.inf)
        for row, pair in enumerate(item):
            weight = k[pair] * m[pair]
            extended[row, weight:] = reached[: num_samples + 1 - weight] + value[pair]
        choice = np.argmax(extended, axis=0)
        choices.append(choice.astype(np.int16))
        reached = np.take_along_axis(extended, choice[None], axis=0)[0]

    chosen, weight = [], num_samples
    for item, choice in zip(items[::-1], choices[::-1], strict=True):
        pair = item[choice[weight]]
        chosen.append(pair)
        weight -= k[pair] * m[pair]
    chosen = np.array(chosen[::-1])
    chosen = chosen[m[chosen] > 0]
    return k[chosen], m[chosen], 0.0


def _reduced_value(k, m, num_samples, mu, multiplier):
    """`f_k(m) - lam q` with `0 log 0 = 0`."""
    share = k * m / num_samples
    log_share = np.log(np.where(share > 0, share, 1.0))
    return -share * (log_share + mu * np.log(k / num_samples) + multiplier)


def _relaxation(num_samples, mu):
    """Relax the constraint: counts `k`, repaired `m_k`, multiplier, and gap to the bound."""
    # At the optimum m_k >= 1 for every k up to a largest one, so k (k + 1) / 2 <= M bounds it.
    k = np.arange(1, int(np.sqrt(2 * num_samples)) + 2)
    low = -1.0 - abs(mu) * np.log(num_samples)  # every share is 1 or more: far too heavy
    high = (1 + max(mu, 0)) * np.log(num_samples) + 1.0  # every share is 0
    for _ in range(100):
        middle = (low + high) / 2
        if np.sum(k * _best_multiplicity(k, num_samples, mu, middle)) > num_samples:
            low = middle
        else:
            high = middle
    m = _best_multiplicity(k, num_samples, mu, high)
    dual = np.sum(_reduced_value(k, m, num_samples, mu, high))
    m = _repaired(k, m, num_samples, mu, high)
    primal = np.sum(_reduced_value(k, m, num_samples, mu, high))
    return k, m, high, max(float(dual - primal), 0.0)


def _best_multiplicity(k, num_samples, mu, multiplier):
    """Integer `m` of each `k` that maximises the reduced value, a concave function of it."""
    log_share = np.minimum(-1 - multiplier - mu * np.log(k / num_samples), 0.0)
    below = np.floor(np.exp(log_share) * num_samples / k).astype(np.int64)
    value = _reduced_value(k, below, num_samples, mu, multiplier)
    above = _reduced_value(k, below + 1, num_samples, mu, multiplier)
    return below + (above > value)


def _repaired(k, m, num_samples, mu, multiplier):
    """Places the samples left over by the cheapest one or two changes of single `m_k` by 1."""
    m = m.copy()
    while True:
        left = int(num_samples - np.sum(k * m))
        if left == 0:
            return m
        value = _reduced_value(k, m, num_samples, mu, multiplier)
        gain = _reduced_value(k, m + 1, num_samples, mu, multiplier) - value
        loss = _reduced_value(k, m - 1, num_samples, mu, multiplier) - value
        loss[m == 0] = -np.inf
        if left > len(k):  # too much for one k: the best single step per sample placed
            m[np.argmax(gain / k)] += 1
            continue
        # One more state of k + left and one less of k; or two states more, of k and left - k.
        options: list[tuple[float, list[int], list[int]]] = [(gain[left - 1], [left - 1], [])]
        traded = gain[left:] + loss[: len(k) - left]
        if len(traded):
            first = int(np.argmax(traded))
            options.append((traded[first], [first + left], [first]))
        if left > 2:
            split = gain[: (left - 1) // 2] + gain[left - 2 : left - 2 - (left - 1) // 2 : -1]
            first = int(np.argmax(split))
            options.append((split[first], [first, left - 2 - first], []))
        _, more, fewer = max(options, key=lambda option: option[0])
        m[more] += 1
        m[fewer] -= 1
