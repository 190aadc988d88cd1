"""Energies of all hidden states of a small machine, exactly, beside those of units taken apart.

The relevance of a machine is the entropy of its energies (Duranthon, Marsili & Xie, 2021, arXiv
1909.12792): here their differential entropy, in nats, from a fine histogram.
"""

import keras
import numpy as np
from scipy.optimize import brentq

BINS_PER_NAT = 20
AT_ONCE = 2**14  # states


def exact_energies(machine) -> tuple[np.ndarray, np.ndarray]:
    """States `[2^units, units]` and minus the log-probability of each, nats."""
    units = int(machine.kernel.shape[1])
    states = (
        np.arange(2**units, dtype=np.uint32)[:, None] >> np.arange(units, dtype=np.uint32)
    ) & 1
    states = states.astype(np.uint8)
    parts = np.split(states, range(AT_ONCE, len(states), AT_ONCE))
    energies = np.concatenate([hidden_energies(machine, part) for part in parts])
    return states, normalised(energies)


def hidden_energies(machine, states) -> np.ndarray:
    """Energies of hidden states, nats: ``-log`` of their probability, up to a constant."""
    kernel, visible_bias, hidden_bias = (
        keras.ops.convert_to_numpy(v).astype("float64")
        for v in (machine.kernel, machine.visible_bias, machine.hidden_bias)
    )
    states = states.astype("float64")
    return -states @ hidden_bias - np.logaddexp(0, states @ kernel.T + visible_bias).sum(axis=1)


def normalised(energies: np.ndarray) -> np.ndarray:
    """Energies whose Boltzmann weights sum to one."""
    least = energies.min()
    return energies + np.log(np.exp(least - energies).sum()) - least


def entropy(energies: np.ndarray) -> float:
    """Entropy of the states, which is the mean of the energies, in nats."""
    return float(np.exp(-energies) @ energies)


def units_apart(states: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Energies if every unit were on as often as it is, whatever the others do."""
    on = np.clip(np.exp(-energies) @ states, 1e-12, 1 - 1e-12)
    return -(states @ np.log(on) + (1 - states.astype(float)) @ np.log(1 - on))


def at_entropy(energies: np.ndarray, goal: float) -> np.ndarray:
    """The same energies at the temperature at which the states have this entropy."""

    def missed(log_factor):
        return entropy(normalised(np.exp(log_factor) * energies)) - goal

    return normalised(np.exp(brentq(missed, -15.0, 15.0, xtol=1e-6)) * energies)


def spread_of_energies(energies: np.ndarray) -> dict[str, float]:
    """Entropy of the states, standard deviation and differential entropy of their energies."""
    share = np.exp(-energies)
    mean = share @ energies
    levels = np.floor(energies * BINS_PER_NAT)
    _, place = np.unique(levels, return_inverse=True)
    mass = np.bincount(place, share)
    mass = mass[mass > 0]
    return {
        "entropy": float(mean),
        "std": float(np.sqrt(share @ (energies - mean) ** 2)),
        "relevance": float(-(mass @ np.log(mass)) - np.log(BINS_PER_NAT)),
    }


def exact_spread(machine, *, with_units_apart: bool = False) -> dict:
    """Of a machine, and of its units taken apart at the same entropy of the states."""
    states, energies = exact_energies(machine)
    found = spread_of_energies(energies)
    if with_units_apart:
        apart = at_entropy(units_apart(states, energies), entropy(energies))
        found["units_apart"] = spread_of_energies(apart)
    return found
