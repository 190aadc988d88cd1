"""Verdict of the experiment, computed from its records alone."""

import numpy as np

from reproduction.frame.verdicts import paired, rank_correlation, verdict, would_show
from reproduction.weight_complexity.claims import CLAIMS as OF_TRAINING

CLAIMS = {number: OF_TRAINING[number] for number in ("5-f", "5-g")}
WOULD_TELL = {  # runs that would settle claims which these cannot
    "5-g": "some twenty networks that can be run, on the data of their tasks",
}

TOP, LOW, SHARE = 0.95, 0.01, 0.9
CARRIES, ERROR = 0.99, 0.05  # of an informative plane; of outputs with enough bits
START = "uniform start"


def judge(records: list[dict]) -> dict[str, dict]:
    """The verdicts over all networks."""
    planes = {
        record["network"]: {k: np.array(v) for k, v in record["ratio_by_plane"].items()}
        for record in records
    }
    top = [of[START][-1] < TOP for of in planes.values()]
    low = [np.all(np.abs(of[START][:4] - 1) < LOW) for of in planes.values()]
    both = np.logical_and(top, low)
    below_shuffled = sum(of["shuffled"][-1] < 0.99 for of in planes.values())
    listed = "; ".join(
        f"{name} {of[START][-1]:.2f}, {of['shuffled'][-1]:.2f}"
        + (f", {of['positions'][-1]:.2f}" if "positions" in of else "")
        for name, of in planes.items()
    )
    return {
        **outputs_judged(records),
        "5-f": {
            "setting": f"{len(records)} pretrained networks, {BITS_SAID}",
            "measured": "top plane against a random start, its own values shuffled and, where "
            f"there are, the positions of its kernels shuffled: {listed}; under the shuffled "
            f"values in {below_shuffled} of {len(records)}",
            "verdict": verdict(np.mean(both) >= SHARE, np.mean(top) >= SHARE),
            "criterion": f"in nine of ten networks the top plane is under {TOP} of a random start "
            f"of the same shapes and the four lowest planes are within {LOW} of 1; partly: the "
            "first. Structure, the ratio to shuffled values, stands beside it and is not judged",
            "authors": "pretrained networks by their top plane against a random start",
            "numbers": {
                name: {kind: ratios.tolist() for kind, ratios in of.items()}
                for name, of in planes.items()
            },
        },
    }


def outputs_judged(records: list[dict]) -> dict[str, dict]:
    """The verdict on claim 5-g, if there are networks that could be run."""
    predicted, needed = {}, {}
    for record in records:
        if not record.get("error_at_bits"):
            continue
        name, ratios = record["network"], record["ratio_by_plane"][START]
        carrying = next((i for i, r in enumerate(ratios) if r < CARRIES), len(ratios))
        predicted[name] = len(ratios) - carrying
        errors = {int(bits): error for bits, error in record["error_at_bits"].items()}
        enough = [b for b in errors if all(errors[c] <= ERROR for c in errors if c >= b)]
        needed[name] = min(enough, default=None)
    told = [name for name, bits in needed.items() if bits is not None]
    if len(told) < 2:
        return {}
    pair = np.array([[predicted[name], needed[name]] for name in told]).T
    by_planes, by_constant = np.abs(pair[0] - pair[1]), np.abs(pair[1] - np.median(pair[1]))
    rho, more = rank_correlation(*pair), paired(by_planes - by_constant)
    listed = "; ".join(
        f"{name} {predicted[name]}, {needed[name] or 'more than 8'}" for name in needed
    )
    return {
        "5-g": {
            "setting": f"{len(needed)} pretrained networks that run, of which {len(told)} need "
            f"eight bits at most, {BITS_SAID}",
            "measured": f"bits predicted and needed: {listed}; of those that need eight at most, "
            f"mean error {by_planes.mean():.1f} bits, of a constant {by_constant.mean():.1f}; rank "
            f"correlation {rho:+.2f}",
            "verdict": verdict(
                rho > 0.7 and by_planes.mean() < by_constant.mean(),
                by_planes.mean() <= 1,
                false=more["low"] > 0,
            ),
            "criterion": "planes from the lowest under 0.99 of a random start upwards against the "
            f"fewest bits at which all outputs differ by {ERROR:.0%} of their norm at most: rank "
            "correlation over 0.7 and mean error under that of a constant; partly: mean error of "
            "at most one bit; false as stated: the prediction errs by more than a constant does, "
            "paired over networks (p < 0.05)",
            "power": f"prediction less constant: {would_show(more, '.1f')}, in bits",
            "numbers": {
                "rank_correlation": rho,
                "mean_error_bits": float(by_planes.mean()),
                "mean_error_of_constant_bits": float(by_constant.mean()),
                "by_network": {name: [predicted[name], needed[name]] for name in needed},
            },
        }
    }


BITS_SAID = "8 bits, clipped at the 99.9th percentile"
