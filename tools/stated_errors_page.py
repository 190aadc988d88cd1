"""The page of stated errors, as `check_stated_errors.py` writes it."""

__all__ = ["page"]

# Why a case misses, which the estimator's own documentation says too.
REASONS = {
    "total correlation, log-normal units, 300 examples": (
        "correlations of heavy tails come out too high from few examples, which its docstring "
        'says; `estimator="jackknife"` takes that off, and so do 30,000 examples'
    ),
    "total correlation, log-normal units, 300 examples, jackknife": (
        "a fifth of an error is left, which more examples take off"
    ),
}


def misses(row: dict) -> list[str]:
    """Which of what is asked a row misses."""
    asked = {
        "mean": abs(row["bias_in_standard_errors"]) <= 3,
        "stated error": 0.8 <= row["stated_over_spread"] <= 1.2,
        "coverage": 0.9 <= row["coverage"] <= 0.99,
    }
    return [name for name, holds in asked.items() if not holds]


def page(rows: dict[str, dict]) -> str:
    """The table, in Markdown."""
    lines = [
        "# Stated errors",
        "",
        "Every stochastic estimator on a case whose truth is known, over many seeds: the mean",
        "beside the truth (in standard errors of that mean), the error that the estimator states",
        "over the spread seen, and how often the truth lies within 1.96 stated errors.",
        "Asked: a mean within 3 standard errors, a stated error within 20 % of the spread, and a",
        "coverage of 90 to 99 %; what misses is named, with the reason below the table. Errors of",
        "a few draws are widened as Student's distribution asks, by 21 % for 8 of them.",
        "",
        "`python tools/check_stated_errors.py` writes this page.",
        "",
        "| estimator | seeds | truth | mean | off by, in standard errors | stated over seen | "
        "coverage | misses |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['num_seeds']} | {row['truth']:.5g} | {row['mean']:.5g} | "
            f"{row['bias_in_standard_errors']:+.1f} | {row['stated_over_spread']:.2f} | "
            f"{row['coverage']:.1%} | {', '.join(misses(row)) or '-'} |"
        )
    lines.append("")
    for name, row in rows.items():
        if misses(row):
            lines.append(f"- {name}: {REASONS.get(name, 'the reason is not known')}.")
    return "\n".join(lines).rstrip() + "\n"
