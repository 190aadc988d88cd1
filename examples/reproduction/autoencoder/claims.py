"""Verdicts of the experiment, computed from its records alone."""

import numpy as np
from scipy.stats import spearmanr

from reproduction.frame.verdicts import column, said, spread, verdict

CLAIMS = {
    "2-d": "With a factorised prior the total correlation of the code falls as beta rises.",
    "2-e": "At beta = 1 and y = x the objective is that of a variational autoencoder.",
}
AT_FULL_SIZE = (  # claims, and the settings of --full
    "2-d, 2-e",
    "all of MNIST, 512 hidden units, 100 epochs, 10 seeds",
)

FALLING = -0.9  # largest rank correlation with beta at which a curve counts as falling
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4  # float32, sums over all pixels


def judge(records: list[dict], settings: dict) -> dict[str, dict]:
    """One verdict for each claim."""
    setting = (
        f"{settings['data']}, {settings['num_examples']} images at most, "
        f"{settings['num_units']} units, {settings['seeds']} seeds"
    )
    return {
        "2-d": {"setting": setting, **total_correlation_falls(records)},
        "2-e": {"setting": setting, **it_is_the_variational_autoencoder(records)},
    }


def total_correlation_falls(records: list[dict]) -> dict:
    """2-d, with the two controls."""
    betas, seeds = column(records, "beta"), column(records, "seed")
    nats = column(records, "total_correlation", "nats")
    ranks, falls = [], []
    for seed in np.unique(seeds):
        found = sorted((r for r in records if r["seed"] == seed), key=lambda r: r["beta"])
        ranks.append(
            spearmanr(column(found, "beta"), column(found, "total_correlation", "nats"))[0]
        )
        first, last = (found[i]["total_correlation"] for i in (0, -1))
        error = np.hypot(first["standard_error"], last["standard_error"])
        falls.append((first["nats"] - last["nats"]) / error)
    as_printed = max(ranks) <= FALLING and min(falls) > 4.0
    below = {}  # the control minus the code, by beta
    for beta in np.unique(betas)[1:]:
        found = [r for r in records if r["beta"] == beta]
        gain = column(found, "of_noise_alone", "nats") - column(found, "total_correlation", "nats")
        below[f"{beta:g}"] = spread(gain)
    beyond_noise = np.mean([b["mean"] > 2 * b["standard_error"] for b in below.values()]) > 0.5
    ends = [spread(nats[betas == beta]) for beta in (betas.min(), betas.max())]
    largest_null = np.max(column(records, "total_correlation", "null"))
    gains = {beta: f"{gain['mean']:+.2f} at {beta}" for beta, gain in below.items()}
    of_means = spread(column(records, "of_means", "nats")[betas == betas.max()])
    return {
        "criterion": "partly: rank correlation with beta at most -0.9 and a fall of over four "
        "standard errors from the lowest to the highest beta, in every seed; reproduced: also "
        "below the cheapest code with as much noise added, by two standard errors over seeds, at "
        "most of the other betas",
        "verdict": verdict(as_printed and beyond_noise, as_printed),
        "measured": f"{said(ends[0], '.2f')} nats at beta {betas.min():g}, "
        f"{said(ends[1], '.2f')} at {betas.max():g} (largest null {largest_null:.3f}, rank "
        f"correlation {max(ranks):.2f} at most); the cheapest code with as much noise has more or "
        f"less nats: {', '.join(gains.values())}; the means without noise have "
        f"{said(of_means, '.1f')} at {betas.max():g}",
        "numbers": {
            "rank_correlation_by_seed": ranks,
            "fall_in_standard_errors_by_seed": falls,
            "noise_alone_minus_code_by_beta": below,
        },
    }


def it_is_the_variational_autoencoder(records: list[dict]) -> dict:
    """2-e: equality of loss and gradient."""
    compared = {
        when: {
            name: max(r[when][name] for r in records if when in r)
            for name in ("loss_difference", "gradient_difference")
        }
        for when in ("before", "after")
    }
    loss, gradient = (max(c[name] for c in compared.values()) for name in compared["before"])
    return {
        "criterion": "relative differences in float32, before and after training, in every seed: "
        f"loss at most {LOSS_TOLERANCE:g}, gradient at most {GRADIENT_TOLERANCE:g}",
        "verdict": verdict(loss <= LOSS_TOLERANCE and gradient <= GRADIENT_TOLERANCE),
        "measured": f"against a Gaussian autoencoder written by hand, same weights and noise, the "
        f"largest relative differences are {loss:.0e} of the loss, {gradient:.0e} of the gradient",
        "numbers": compared,
    }


def summary(records: list[dict]) -> dict[str, dict]:
    """Mean and standard error over seeds of each measured quantity, by beta."""
    result = {}
    for beta in np.unique(column(records, "beta")):
        found = [r for r in records if r["beta"] == beta]
        result[f"{beta:g}"] = {
            name: spread(column(found, name)) for name in ("error", "nats", "noise_share")
        } | {
            name: spread(column(found, name, "nats"))
            for name in ("total_correlation", "of_means", "of_noise_alone")
            if name in found[0]
        }
    return result
