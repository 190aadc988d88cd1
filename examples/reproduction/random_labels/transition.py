"""What is read off a column of the experiment, one size and share, and said over seeds.

The transition of a column is the price, on a logarithmic scale, at which training accuracy has come
half-way down from its highest value to chance; its width is the distance from nine tenths to one
tenth of the way, in decades. The crossing is where theory puts it: where cross-entropy + beta *
nats per example along the column reaches log(classes), the cost of having learned nothing.
"""

import numpy as np

from reproduction.frame.verdicts import said, spread


def column(records, settings, size, share) -> list[dict]:
    """The records of the main code at one size and share of random labels, by seed."""
    return [
        r for r in records if (r["code"], r["size"], r["share"]) == (settings["code"], size, share)
    ]


def transition(record: dict, settings: dict) -> dict[str, float]:
    """Half-way price, width in decades, and the crossing of theory; nan where not reached."""
    chance = 1 / settings["num_classes"]
    highest = int(np.argmax(record["accuracy"]))  # not the first where that was learned in part
    betas, accuracy = record["betas"][highest:], np.array(record["accuracy"][highest:])
    way = (accuracy - chance) / (accuracy[0] - chance)
    start, half, end = (first_crossing(betas, -way, -level) for level in (0.9, 0.5, 0.1))
    return {
        "beta": half,
        "width": float(np.log10(end / start)),
        "crossing": first_crossing(
            record["betas"], lagrangian(record), np.log(settings["num_classes"])
        ),
    }


def first_crossing(betas, values, level) -> float:
    """Where rising values first reach a level, interpolated over log beta."""
    above = np.flatnonzero(np.asarray(values) >= level)
    if len(above) == 0 or above[0] == 0:
        return float("nan")
    i = above[0]
    share = (level - values[i - 1]) / (values[i] - values[i - 1])
    return float(np.exp(np.log(betas[i - 1]) + share * np.log(betas[i] / betas[i - 1])))


def per_label(record: dict) -> np.ndarray:
    """Nats in the weights for each example."""
    return np.array(record["information"]) / record["size"]


def lagrangian(record: dict) -> np.ndarray:
    """Cross-entropy + beta * nats per example, at every price."""
    return np.array(record["crossentropy"]) + np.array(record["betas"]) * per_label(record)


def at(record: dict, beta: float, name: str) -> float:
    """What was measured at one price."""
    return record[name][record["betas"].index(beta)]


def over_seeds(values) -> dict:
    """Mean and standard error over the seeds in which there is a value."""
    found = [value for value in values if np.isfinite(value)]
    return spread(found) if found else {"mean": float("nan"), "standard_error": None}


def growth(total: dict[int, dict], sizes) -> float:
    """Slope of the mean over sizes."""
    return float(np.polyfit(sizes, [total[size]["mean"] for size in sizes], 1)[0])


def shown(found: dict, digits: int = 2) -> str:
    """Mean and standard error in a sentence."""
    return said(found, f".{digits}f")


def setting(settings: dict, what: str, sizes=None, code: str | None = None) -> str:
    """The setting of a claim in a few words; `sizes` and `code` where not the main ones."""
    sizes = sizes or settings["sizes"]
    of_sizes = " to ".join(str(size) for size in dict.fromkeys([sizes[0], sizes[-1]]))
    seeds = f"{len(settings['seeds'])} seed" + "s" * (len(settings["seeds"]) > 1)
    return f"{settings['data']}, {code or settings['code']}, {what}, N = {of_sizes}, {seeds}"
