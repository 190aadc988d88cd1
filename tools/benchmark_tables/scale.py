"""Growth: of time and memory with size, of memory with calls; and the share of a device's best."""

from benchmark_tables.markdown import is_there, read, section, table

__all__ = ["device", "endurance", "growth_by_calls", "growth_by_size"]


def growth_by_size() -> str:
    """Exponents, and the points that they were fitted to."""
    if not is_there("scaling"):
        return ""
    found = read("scaling")
    rows, parts = [], []
    for name, row in found["measures"].items():
        fits = [row["summary"][which] for which in ("all sizes", "larger half")]
        peak = row["summary"].get("peak over that of 10,000")
        rows.append(
            [
                name,
                *(f"{fit['exponent']:.2f} ± {fit['standard_error']:.2f}" for fit in fits),
                f"{peak:.3f}" if peak else "",
            ]
        )
        sizes = [f"{int(size):,}" for size in row["points"]]
        points = row["points"].values()
        parts += [
            table(
                [name, *sizes],
                [
                    ["processor seconds", *(f"{p['processor_seconds']:.3g}" for p in points)],
                    ["peak of the process, MiB", *(f"{p['peak_mebibytes']:.0f}" for p in points)],
                ],
            )
        ]
    head = ["measure", "exponent, all sizes", "larger half", "peak, largest over 10,000"]
    return section(
        "Growth with size",
        [found["command"]],
        ["scaling"],
        "Exponents of processor seconds, one thread; each point is a process of its own. Examples "
        "are streamed. The target: at most 1.05 in examples and weights, and at 1,000,000 examples "
        "a peak within 5 % of that at 10,000.\n",
        table(head, rows),
        "![Seconds and peak memory by size](../docs/figures/scaling.png)\n",
        *parts,
    )


def growth_by_calls() -> str:
    """What calls on fresh models leave behind."""
    if not is_there("leaks"):
        return ""
    found = read("leaks")
    sessions = list(next(iter(found["rows"].values())))
    rows = [
        [
            name,
            *(
                f"{row[s]['mebibytes_per_call']:.2f} ± {row[s]['standard_error']:.2f}"
                for s in sessions
            ),
            max(row[s]["models_alive"] for s in sessions),
        ]
        for name, row in found["rows"].items()
    ]
    head = ["call", *(f"session {session}" for session in sessions), "models still alive"]
    return section(
        "Growth with calls",
        [found["command"]],
        ["leaks"],
        f"MiB that a call on a fresh model leaves behind, of {found['calls']} calls; session "
        "cleared: with `keras.backend.clear_session()` after each. What plain Keras leaves is "
        "TensorFlow's: each compiled function that ran leaves a part of its graph behind.\n",
        table(head, rows),
    )


def endurance() -> str:
    """A long training: finite to the end, and in the same memory."""
    if not is_there("endurance"):
        return ""
    found = read("endurance")
    rows = [
        [
            precision,
            f"{row['steps']:,}",
            row["losses_not_finite"],
            row["weights_not_finite"],
            f"{row['mebibytes_after_a_tenth']:.0f}",
            f"{row['largest_change']:.2%}",
        ]
        for precision, row in found["rows"].items()
    ]
    head = ["precision", "steps", "losses not finite", "weights not finite at the end"]
    head += ["MiB after a tenth", "largest change later"]
    return section(
        "A long training",
        [found["command"]],
        ["endurance"],
        "A small network with noise on its weights and on its activations, trained by `fit`. The "
        "memory is that of the process, read a hundred times. The target: no number that is not "
        "finite, and memory within 1 %.\n",
        table(head, rows),
    )


def device() -> str:
    """The share of a device's arithmetic and bandwidth that is reached."""
    if not is_there("gpu"):
        return ""
    found = read("gpu")
    rows = [
        [
            name,
            f"{row['seconds']:.3g}",
            f"{row['share_of_arithmetic']:.0%}",
            f"{row['share_of_the_limit']:.0%}",
        ]
        for name, row in found["rows"].items()
        if "share_of_the_limit" in row
    ]
    states = found["rows"].get("state counts")
    counted = f"{states['states_per_second']:.3g} states a second are counted.\n" if states else ""
    peak = found["peak"]
    return section(
        "On a GPU",
        [found["command"]],
        ["gpu"],
        f"{found['device'].get('device_name', 'No GPU')}: {peak['operations'] / 1e12:.1f} "
        f"teraflops in float32 and {peak['bytes'] / 1e9:.0f} GB/s, measured in the same run. "
        f"{counted}",
        table(["row", "seconds", "of the arithmetic", "of the limit with bandwidth"], rows),
    )
