"""Verdict of the experiment, from its records and nothing else."""

import numpy as np

from reproduction.frame.verdicts import rank_correlation, spread, verdict
from reproduction.weight_complexity.claims import CLAIMS as OF_TRAINING
from reproduction.weight_complexity.claims_of_planes import bit_widths_judged

CLAIMS = {number: OF_TRAINING[number] for number in ("5-f", "5-g")}
WOULD_TELL = {  # which runs would settle what these cannot
    "5-g": "some twenty networks that run, on the data of their tasks",
}

TOP, LOW, SHARE = 0.95, 0.01, 0.9
CARRIES, ERROR = 0.99, 0.05  # of a plane that carries something; of outputs at enough bits
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
    """The verdict on claim 5-g, where there are networks that could be run."""
    found = {r["network"]: r for r in records if r.get("error_at_bits")}
    if not found:
        return {}
    predicted, needed = {}, {}
    for name, record in found.items():
        ratios = record["ratio_by_plane"][START]
        carrying = next((i for i, r in enumerate(ratios) if r < CARRIES), len(ratios))
        predicted[name] = len(ratios) - carrying
        errors = {int(bits): error for bits, error in record["error_at_bits"].items()}
        enough = [b for b in errors if all(errors[c] <= ERROR for c in errors if c >= b)]
        needed[name] = min(enough, default=max(errors) + 1)
    pair = np.array(list(predicted.values())), np.array(list(needed.values()))
    numbers = {
        "rank_correlation": rank_correlation(*pair),
        "mean_error_bits": float(np.abs(pair[0] - pair[1]).mean()),
        "mean_error_of_constant_bits": float(np.abs(pair[1] - np.median(pair[1])).mean()),
        "predicted_bits": spread(pair[0]),
        "needed_bits": spread(pair[1]),
        "by_network": {name: [predicted[name], needed[name]] for name in found},
    }
    judged = bit_widths_judged(numbers, len(found))
    listed = "; ".join(f"{name} {predicted[name]}, {needed[name]}" for name in found)
    return {
        "5-g": {
            **judged,
            "setting": f"{len(found)} pretrained networks that run, {BITS_SAID}",
            "measured": f"bits predicted and needed: {listed}; {judged['measured']}",
            "criterion": "planes from the lowest under 0.99 of a random start upwards against the "
            f"fewest bits at which all outputs differ by {ERROR:.0%} at most: the rest as for "
            "networks that were trained here",
            "numbers": numbers,
        }
    }


BITS_SAID = "8 bits, clipped at the 99.9th percentile"
