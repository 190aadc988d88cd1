"""Verdicts of the experiment, computed from its records alone.

Accuracy on the training set is that of drawn weights, as in the objective; accuracy on the test
set is that of mean weights. ``transition.py`` explains the quantities read from a column.
"""

import functools

import numpy as np
from scipy.stats import spearmanr

from reproduction.frame.verdicts import verdict
from reproduction.random_labels.claims_of_real_labels import (
    price_shows_bias_and_variance,
    real_labels_outlast_random_ones,
)
from reproduction.random_labels.transition import (
    at,
    column,
    growth,
    lagrangian,
    over_seeds,
    per_label,
    setting,
    shown,
    transition,
)

CLAIMS = {
    "1-a": "Random labels: a sharp turn from memorising to forgetting near beta = 1, whatever N.",
    "1-b": "So for other networks, all before beta = 1; the residual one latest and sharpest.",
    "1-c": "A random label saves log(classes) nats of loss and costs as many in the weights.",
    "1-d": "Real labels are fitted far beyond beta = 1; test accuracy rises with N and is best "
    "near beta = 1; the information needed saturates in N.",
    "1-e": "Random labels: information grows linearly in N, by some 3 nats a label (log 10 = 2.3).",
    "1-f": "Information rises with the share of random labels.",
    "1-g": "Test error against the price is a U; against the number of parameters a plateau.",
}
AT_FULL_SIZE = (  # claims, and the settings of --full
    "1-a to 1-g",
    "small AlexNet on the images of `--data` (CIFAR-10), 5 sizes up to all 50,000, 16 prices "
    "from 0.001 to 100, 36,000 updates each; without the other codes, so 1-b is not judged "
    "(in the row of CIFAR it is one of them: 500 images, 150 updates at each price)",
)

WOULD_TELL = {  # runs that would settle claims which these cannot
    "1-c": "priors that are fixed or charged, and charged biases: the information that is not "
    "charged is as large here as the effect",
    "1-d": "all 50,000 photographs: the memory classifies a new image by its nearest neighbour, "
    "which does not generalise on photographs at any price, and a convolutional network trained on "
    "10,000 of them is right on little more than half of new ones, so that real labels are worth "
    "little more to it than random ones",
    "1-g": "the row of the convolutional network; the memory does not generalise at any price",
}

SLACK = 0.02  # nats per label, for noise of the draws and the uncharged fit of prior scales


def judge(records: list[dict], widths: list[dict], settings: dict) -> dict[str, dict]:
    """Claims 1-a to 1-g, or those named in the settings."""
    judges = {
        "1-a": random_labels_turn,
        "1-b": other_networks_turn_before_one,
        "1-c": a_label_costs_what_it_saves,
        "1-d": real_labels_outlast_random_ones,
        "1-e": information_grows_with_random_labels,
        "1-f": information_grows_with_corruption,
        "1-g": functools.partial(price_shows_bias_and_variance, widths),
    }
    judged = settings.get("judged", tuple(judges))
    return {name: plain(judges[name](records, settings)) for name in judged}


def judge_kept(result: dict) -> dict[str, dict]:
    """The claims of a stored result, judged again from its records."""
    judged = judge(result["records"], result["widths"], result["settings"])
    return {number: {**claim, **judged[number]} for number, claim in result["claims"].items()}


def random_labels_turn(records, settings) -> dict:
    """1-a."""
    by_size = {
        size: [transition(r, settings) for r in column(records, settings, size, 1.0)]
        for size in settings["sizes"]
    }
    places = {size: over_seeds([t["beta"] for t in found]) for size, found in by_size.items()}
    widths = over_seeds([t["width"] for found in by_size.values() for t in found])
    means = [place["mean"] for place in places.values()]
    decades = np.log10(max(means) / min(means))
    steady, sharp = decades <= 0.2, widths["mean"] <= 1.0
    near = all(0.3 <= mean <= 1.1 for mean in means)
    return {
        "setting": setting(settings, "random labels"),
        "measured": f"Half-way down at beta {shown(places[settings['sizes'][0]])} for "
        f"N = {settings['sizes'][0]} to {shown(places[settings['sizes'][-1]])} for "
        f"N = {settings['sizes'][-1]}, {decades:.2f} decades apart at most; "
        f"width {shown(widths)} decades.",
        "verdict": verdict(steady and sharp and near, steady and sharp),
        "criterion": "every N turns between 0.3 and 1.1, at most 0.2 decades apart, width at most "
        "a decade; partly: elsewhere",
        "numbers": {
            "transition": places,
            "width": widths,
            "crossing": {
                size: over_seeds([t["crossing"] for t in found]) for size, found in by_size.items()
            },
            "decades": decades,
        },
    }


def other_networks_turn_before_one(records, settings) -> dict:
    """1-b."""
    found = {}
    for code in settings["compared"]:
        of_code = [r for r in records if r["code"] == code]
        turns = [transition(r, settings) for r in of_code]
        found[code] = {key: over_seeds([t[key] for t in turns]) for key in turns[0]}
        found[code]["learned"] = over_seeds([max(r["accuracy"]) for r in of_code])
    networks = [code for code in ("mlp", "cnn", "residual") if code in found]
    of_codes = [settings["compared_size"]]
    if len(networks) < 3:
        return {
            "setting": setting(settings, "random labels", of_codes, "other codes"),
            "measured": "Fewer than three networks.",
            "verdict": "not run",
            "criterion": "none",
            "numbers": {"codes": found},
        }
    before = all(found[code]["beta"]["mean"] < 1 for code in networks)
    latest = max(networks, key=lambda code: found[code]["beta"]["mean"])
    sharpest = min(networks, key=lambda code: found[code]["width"]["mean"])
    listed = ", ".join(f"{code} {turn_shown(of_code)}" for code, of_code in found.items())
    return {
        "setting": setting(settings, "random labels", of_codes, "other codes"),
        "measured": f"Half-way down at beta (crossing): {listed}; width of the residual network "
        f"{shown(found['residual']['width'])} decades, of the sharpest ({sharpest}) "
        f"{shown(found[sharpest]['width'])}.",
        "verdict": verdict(before and latest == sharpest == "residual", before),
        "criterion": "mlp, cnn and residual all turn before 1, the residual one at the highest "
        "price and with the least width; partly: all turn before 1",
        "numbers": {"codes": found},
    }


def turn_shown(found: dict) -> str:
    """Half-way price and crossing of a code, and the share it learned if that was not all."""
    crossing, learned = found["crossing"]["mean"], found["learned"]["mean"]
    crossing = f"{crossing:.2f}" if np.isfinite(crossing) else "none"
    at_most = "" if learned >= 0.95 else f", of {learned:.0%} learned at most"
    return f"{shown(found['beta'])} ({crossing}{at_most})"


def a_label_costs_what_it_saves(records, settings) -> dict:
    """1-c."""
    log_classes = np.log(settings["num_classes"])
    random = [r for r in records if r["share"] == 1.0]
    excess, beyond, bounded = [], [], True
    for r in random:
        excess.append(min(per_label(r) + r["crossentropy"]) - log_classes)
        dear = [v for beta, v in zip(r["betas"], lagrangian(r), strict=True) if beta >= 1]
        beyond += [min(dear) - log_classes] if dear else []
        # Biases are not charged: they may hold how often each label was drawn.
        allowed = SLACK + (settings["num_classes"] - 1) / r["size"]
        bounded &= min([excess[-1], *(v - log_classes for v in dear)]) >= -allowed
    others = f" (other codes: N = {settings['compared_size']})" if settings["compared"] else ""
    own = [transition(r, settings) for r in random if r["code"] == settings["code"]]
    distance = [abs(np.log10(t["beta"] / t["crossing"])) for t in own]
    agrees = over_seeds(distance)
    return {
        "setting": setting(settings, f"random labels{others}"),
        "measured": f"Cross-entropy + information is log {settings['num_classes']} "
        f"{min(excess):+.3f} nats a label at least, the objective at any beta >= 1 log "
        f"{settings['num_classes']} {min(beyond):+.3f} at least; turn and crossing lie "
        f"{shown(agrees)} decades apart.",
        "verdict": verdict(bounded and agrees["mean"] <= 0.1, bounded),
        "criterion": f"no run under log(classes) in cross-entropy + nats per label, nor in the "
        f"objective at beta >= 1, by more than {SLACK} and the (classes - 1) / N of "
        "uncharged biases; turn and crossing within 0.1 decades; partly: the first two",
        "numbers": {
            "least_excess": min(excess),
            "least_cost_beyond_one": min(beyond),
            "decades_to_crossing": agrees,
        },
    }


def information_grows_with_random_labels(records, settings) -> dict:
    """1-e."""
    beta, sizes = settings["random_betas"][0], settings["sizes"]
    total = {
        share: {
            size: over_seeds(
                [at(r, beta, "information") for r in column(records, settings, size, share)]
            )
            for size in sizes
        }
        for share in (1.0, 0.0)
    }
    slope = growth(total[1.0], sizes)
    nats = [total[1.0][size]["mean"] for size in sizes]
    linear = np.corrcoef(sizes, nats)[0, 1] ** 2
    rise = (nats[-1] - total[0.0][sizes[-1]]["mean"]) / sizes[-1]
    least = np.log(settings["num_classes"])
    enough = slope >= least
    return {
        "setting": setting(settings, f"beta = {beta:g}"),
        "measured": f"{slope:.2f} nats for another random label (log {settings['num_classes']} = "
        f"{least:.2f}), R^2 = {linear:.4f}; real labels {growth(total[0.0], sizes):.2f}; all "
        f"labels random costs {rise:.2f} nats a label more than none.",
        "verdict": verdict(enough and linear >= 0.99 and least <= rise <= 4, enough),
        "criterion": "R^2 of the line at least 0.99; its slope at least log(classes); rise over "
        "clean labels at the largest N between log(classes) and 4 nats a label; partly: the slope",
        "numbers": {
            "random": total[1.0],
            "real": total[0.0],
            "slope": slope,
            "slope_of_real": growth(total[0.0], sizes),
            "r_squared": linear,
            "rise": rise,
        },
    }


def information_grows_with_corruption(records, settings) -> dict:
    """1-f."""
    beta, sizes = settings["random_betas"][0], settings["sizes"]
    shares = sorted({0.0, 1.0, *settings["corrupted"]})
    nats = [
        [at(r, beta, "information") for r in column(records, settings, sizes[len(sizes) // 2], s)]
        for s in shares
    ]
    ranks = [spearmanr(shares, of_seed)[0] for of_seed in np.transpose(nats)]
    means = {share: over_seeds(found) for share, found in zip(shares, nats, strict=True)}
    listed = ", ".join(f"{share:.0%}: {shown(mean, 0)}" for share, mean in means.items())
    return {
        "setting": setting(settings, f"beta = {beta:g}", [sizes[len(sizes) // 2]]),
        "measured": f"Nats in the weights by share of random labels: {listed}.",
        "verdict": verdict(min(ranks) > 0.999, np.mean(ranks) > 0.7),
        "criterion": "rises at every step for every seed; partly: mean rank correlation over 0.7",
        "numbers": {"information": means, "rank_correlations": ranks},
    }


def plain(found):
    """The same for JSON, where NaN becomes null."""
    if isinstance(found, dict):
        return {str(key): plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return [plain(value) for value in found]
    if isinstance(found, np.generic):
        found = found.item()
    return None if isinstance(found, float) and not np.isfinite(found) else found
