"""Verdict of the experiment, from its records and nothing else."""

import numpy as np

from reproduction.frame.verdicts import verdict

CLAIMS = {"5-f": "The reduction sits in the most significant bit planes."}

TOP, LOW, SHARE = 0.95, 0.01, 0.9
START = "uniform start"


def judge(records: list[dict]) -> dict[str, dict]:
    """The verdict on claim 5-f over all networks."""
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
        }
    }


BITS_SAID = "8 bits, clipped at the 99.9th percentile"
