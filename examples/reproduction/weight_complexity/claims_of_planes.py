"""Verdicts of the experiment on single bit planes: 5-f and 5-g."""

import numpy as np

from reproduction.frame.verdicts import rank_correlation, spread, verdict
from reproduction.weight_complexity.reading import AT_LARGEST, regimens


def it_sits_in_the_top_planes(records: list[dict]) -> dict:
    """Most significant planes carry the reduction, least significant ones none."""
    largest = max(record["budget"] for record in records)
    numbers = {}
    for regimen in regimens(records):
        found = [r for r in records if r["regimen"] == regimen and r["budget"] == largest]
        numbers[regimen] = {
            key: np.mean([r[key] for r in found], axis=0).round(4).tolist()
            for key in ("ratio_by_plane", "shuffled_by_plane")
        }
    top = {r: n["ratio_by_plane"][-1] < 0.95 for r, n in numbers.items()}
    low = {
        r: all(abs(ratio - 1) < 0.01 for ratio in n["ratio_by_plane"][:4])
        for r, n in numbers.items()
    }
    structured = {r: n["shuffled_by_plane"][-1] < 0.99 for r, n in numbers.items()}
    held = [top[r] and low[r] and structured[r] for r in numbers]
    return {
        "verdict": verdict(all(held), any(top[r] and low[r] for r in numbers)),
        "criterion": "largest budget: top plane under 0.95 of initial and under 0.99 of shuffled, "
        "the four lowest planes within 0.01 of 1, under every regimen; partly: to initial, some",
        "measured": f"of initial, top plane and lowest, {AT_LARGEST}: "
        + "; ".join(
            f"{regimen} {n['ratio_by_plane'][-1]:.3f} and {n['ratio_by_plane'][0]:.3f}"
            for regimen, n in numbers.items()
        ),
        "numbers": numbers,
    }


def planes_predict_bit_width(records: list[dict]) -> dict:
    """Ratios by plane predict the bit width at which quantised accuracy collapses."""
    rows = []
    for record in records:
        widths = {int(bits): value for bits, value in record["accuracy_at_bits"].items()}
        enough = [
            b
            for b in widths
            if all(widths[c] >= 0.95 * record["test_accuracy"] for c in widths if c >= b)
        ]
        ratios = record["ratio_by_plane"]
        carrying = next((i for i in range(len(ratios)) if ratios[i] < 0.99), len(ratios))
        rows.append((len(ratios) - carrying, min(enough, default=max(widths) + 1)))
    predicted, needed = np.array(rows).T
    error = float(np.abs(predicted - needed).mean())
    constant = float(np.abs(needed - np.median(needed)).mean())
    rho = rank_correlation(predicted, needed)
    largest = max(record["budget"] for record in records)
    table = {
        regimen: {
            bits: float(np.mean([r["accuracy_at_bits"][bits] for r in found]))
            for bits in found[0]["accuracy_at_bits"]
        }
        for regimen in regimens(records)
        if (found := [r for r in records if r["regimen"] == regimen and r["budget"] == largest])
    }
    numbers = {
        "rank_correlation": rho,
        "mean_error_bits": error,
        "mean_error_of_constant_bits": constant,
        "predicted_bits": spread(predicted),
        "needed_bits": spread(needed),
        "accuracy_at_bits_largest_budget": table,
    }
    return {**bit_widths_judged(numbers, len(records)), "numbers": numbers}


def bit_widths_judged(numbers: dict, num_runs: int) -> dict[str, str]:
    """Entry of 5-g, from its numbers over this number of runs."""
    rho, error = numbers["rank_correlation"], numbers["mean_error_bits"]
    constant = numbers["mean_error_of_constant_bits"]
    predicted, needed = numbers["predicted_bits"], numbers["needed_bits"]
    # The spread of |predicted - needed| is at most what the spreads of both allow.
    deviation = (predicted["standard_error"] + needed["standard_error"]) * np.sqrt(num_runs)
    square = deviation**2 + (predicted["mean"] - needed["mean"]) ** 2 - error**2
    least = error - 2 * np.sqrt(max(square, 0.0) / num_runs)
    return {
        "verdict": verdict(rho > 0.7 and error < constant, error <= 1, false=least > constant),
        "criterion": "planes from the lowest under 0.99 upwards against the fewest bits that keep "
        "95 % of the accuracy: rank correlation over 0.7 and mean error under that of a constant; "
        "partly: mean error of at most one bit; false as stated: the prediction errs by more than "
        "a constant does, by two standard errors at their largest",
        "measured": f"mean error {error:.1f} bits, of a constant {constant:.1f}; rank correlation "
        f"{rho:+.2f}",
        "power": f"the prediction errs by {least:.1f} bits at least, a constant by {constant:.1f}",
    }
