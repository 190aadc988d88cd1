"""Verdicts of ``random_labels.py``, from its records and nothing else.

Accuracy on the training set is that of drawn weights, which is what the objective counts; on the
test set that of mean weights. ``random_labels_transition.py`` says what is read off a column.
"""

import numpy as np
from experiment import verdict
from random_labels_transition import at, column, lagrangian, per_label, transition
from scipy.stats import spearmanr

SLACK = 0.02  # nats per label: noise of the draws, and what fitted prior scales may hide


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


def judge(records: list[dict], widths: list[dict], settings: dict) -> dict[str, dict]:
    """Claims 1-a to 1-g."""
    judged = {
        "1-a": random_labels_turn(records, settings),
        "1-b": other_networks_turn_before_one(records, settings),
        "1-c": a_label_costs_what_it_saves(records, settings),
        "1-d": real_labels_outlast_random_ones(records, settings),
        "1-e": information_grows_with_random_labels(records, settings),
        "1-f": information_grows_with_corruption(records, settings),
        "1-g": price_shows_bias_and_variance(records, widths, settings),
    }
    return {name: plain({**claim, "claim": CLAIMS[name]}) for name, claim in judged.items()}


def random_labels_turn(records, settings) -> dict:
    """1-a."""
    by_size = {
        size: [transition(r, settings) for r in column(records, settings, size, 1.0)]
        for size in settings["sizes"]
    }
    places = {size: mean_and_spread([t["beta"] for t in found]) for size, found in by_size.items()}
    widths = mean_and_spread([t["width"] for found in by_size.values() for t in found])
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
                size: mean_and_spread([t["crossing"] for t in found])
                for size, found in by_size.items()
            },
            "decades": decades,
        },
    }


def other_networks_turn_before_one(records, settings) -> dict:
    """1-b."""
    found = {}
    for code in settings["compared"]:
        turns = [transition(r, settings) for r in records if r["code"] == code]
        found[code] = {key: mean_and_spread([t[key] for t in turns]) for key in turns[0]}
    networks = [code for code in ("mlp", "cnn", "residual") if code in found]
    if len(networks) < 3:
        return {
            "setting": setting(settings, "other codes"),
            "measured": "Fewer than three networks.",
            "verdict": "not run",
            "criterion": "none",
            "numbers": {"codes": found},
        }
    before = all(found[code]["beta"]["mean"] < 1 for code in networks)
    latest = max(networks, key=lambda code: found[code]["beta"]["mean"])
    sharpest = min(networks, key=lambda code: found[code]["width"]["mean"])
    listed = ", ".join(
        f"{code} {shown(of_code['beta'])} ({of_code['crossing']['mean']:.2f})"
        for code, of_code in found.items()
    )
    return {
        "setting": setting(settings, "random labels, other codes"),
        "measured": f"Half-way down at beta (crossing): {listed}; width of the residual network "
        f"{shown(found['residual']['width'])} decades, of the sharpest ({sharpest}) "
        f"{shown(found[sharpest]['width'])}.",
        "verdict": verdict(before and latest == sharpest == "residual", before),
        "criterion": "mlp, cnn and residual all turn before 1, the residual one at the highest "
        "price and with the least width; partly: all turn before 1",
        "numbers": {"codes": found},
    }


def a_label_costs_what_it_saves(records, settings) -> dict:
    """1-c."""
    log_classes = np.log(settings["num_classes"])
    random = [r for r in records if r["share"] == 1.0]
    excess = [min(per_label(r) + r["crossentropy"]) - log_classes for r in random]
    beyond = [
        min(v for beta, v in zip(r["betas"], lagrangian(r), strict=True) if beta >= 1) - log_classes
        for r in random
        if max(r["betas"]) >= 1
    ]
    # Biases are not charged: they may hold how often each label was drawn.
    allowed = max(SLACK + (settings["num_classes"] - 1) / r["size"] for r in random)
    own = [transition(r, settings) for r in random if r["code"] == settings["code"]]
    distance = [abs(np.log10(t["beta"] / t["crossing"])) for t in own]
    bounded = min(excess) >= -allowed and min(beyond) >= -allowed
    agrees = mean_and_spread(distance)
    return {
        "setting": setting(settings, "random labels, all codes"),
        "measured": f"Cross-entropy + information exceeds log {settings['num_classes']} by "
        f"{min(excess):.3f} nats a label at least; no price of 1 or more is worth paying "
        f"({min(beyond):+.3f} at least); turn and crossing lie "
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


def real_labels_outlast_random_ones(records, settings) -> dict:
    """1-d."""
    ratios, best_beta, best_accuracy, gaps, at_one = {}, {}, {}, {}, {}
    for size in settings["sizes"]:
        real = column(records, settings, size, 0.0)
        random = column(records, settings, size, 1.0)
        ratios[size] = mean_and_spread(
            [
                transition(a, settings)["beta"] / transition(b, settings)["beta"]
                for a, b in zip(real, random, strict=True)
            ]
        )
        accuracy = np.mean([r["test_accuracy"] for r in real], axis=0)
        best_beta[size] = real[0]["betas"][int(accuracy.argmax())]
        best_accuracy[size] = mean_and_spread([max(r["test_accuracy"]) for r in real])
        gap = np.mean([r["accuracy"] for r in real], axis=0) - accuracy
        gaps[size] = dict(zip(real[0]["betas"], gap.tolist(), strict=True))
        at_one[size] = mean_and_spread([at(r, 1.0, "information") for r in real])
    sizes = settings["sizes"]
    slope = growth(at_one, sizes[len(sizes) // 2 :])
    outlasts = ratios[sizes[-1]]["mean"] >= 10
    rises = all(np.diff([best_accuracy[size]["mean"] for size in sizes]) > 0)
    near_one = 0.3 <= best_beta[sizes[-1]] <= 3
    saturates = slope <= 0.3 * np.log(settings["num_classes"])
    held = {"outlasts": outlasts, "rises": rises, "near_one": near_one, "saturates": saturates}
    return {
        "setting": setting(settings, "real labels"),
        "measured": f"Real labels turn at {shown(ratios[sizes[-1]])} times the price of random "
        f"ones for N = {sizes[-1]} ({shown(ratios[sizes[0]])} for {sizes[0]}); best test accuracy "
        f"{shown(best_accuracy[sizes[0]], 3)} to {shown(best_accuracy[sizes[-1]], 3)}, at beta "
        f"{best_beta[sizes[-1]]:g} for the most; {slope:.2f} nats for another example at beta 1.",
        "verdict": verdict(all(held.values()), outlasts),
        "criterion": "real labels turn at ten times the price or more for the largest N; test "
        "accuracy rises with N; its best price there is within 0.3 to 3; from the middle N on "
        "information at beta 1 grows by less than 0.3 log(classes) an example; partly: the first",
        "numbers": {
            "held": {name: bool(value) for name, value in held.items()},
            "ratio": ratios,
            "best_beta": best_beta,
            "best_test_accuracy": best_accuracy,
            "train_minus_test": gaps,
            "information_at_one": at_one,
            "nats_per_further_example": slope,
        },
    }


def information_grows_with_random_labels(records, settings) -> dict:
    """1-e."""
    beta, sizes = settings["random_betas"][0], settings["sizes"]
    total = {
        share: {
            size: mean_and_spread(
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
    enough = slope >= least - SLACK
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
    means = {share: mean_and_spread(found) for share, found in zip(shares, nats, strict=True)}
    listed = ", ".join(f"{share:.0%}: {shown(mean, 0)}" for share, mean in means.items())
    return {
        "setting": setting(settings, f"N = {sizes[len(sizes) // 2]}, beta = {beta:g}"),
        "measured": f"Nats in the weights by share of random labels: {listed}.",
        "verdict": verdict(min(ranks) > 0.999, np.mean(ranks) > 0.7),
        "criterion": "rises at every step for every seed; partly: mean rank correlation over 0.7",
        "numbers": {"information": means, "rank_correlations": ranks},
    }


def price_shows_bias_and_variance(records, widths, settings) -> dict:
    """1-g."""
    sizes = settings["sizes"]
    curves = {}
    for share in (0.0, *settings["corrupted"]):
        found = column(records, settings, sizes[len(sizes) // 2], share)
        errors = np.array([[1 - a for a in r["test_accuracy"]] for r in found])
        curves[share] = [mean_and_spread(errors[:, i]) for i in range(errors.shape[1])]
    by_width = {
        record["parameters"]: mean_and_spread(
            [1 - w["test_accuracy"] for w in widths if w["units"] == record["units"]]
        )
        for record in widths
    }
    has_u = {share: is_u(curve) for share, curve in curves.items()}
    last = list(by_width.values())
    least = min(error["mean"] for error in last)
    plateau = last[-1]["mean"] <= least + max(0.01, 2 * last[-1]["spread"])
    rise = {
        share: curve[0]["mean"] - min(e["mean"] for e in curve) for share, curve in curves.items()
    }
    listed = ", ".join(f"{100 * r:.1f} points at {share:.0%} random" for share, r in rise.items())
    return {
        "setting": setting(settings, f"N = {sizes[len(sizes) // 2]}"),
        "measured": f"From its least, test error rises towards low prices by {listed}, towards "
        f"high ones to chance; the widest network is {100 * (last[-1]['mean'] - least):.1f} points "
        f"over the best of {len(by_width)} widths.",
        "verdict": verdict(has_u[0.0] and plateau, plateau and any(has_u.values())),
        "criterion": "clean labels: least test error inside the prices, both ends over it by a "
        "point and two standard errors; the widest network within a point or two standard errors "
        "of the best; partly: the U with some share of random labels only",
        "numbers": {
            "error_by_beta": curves,
            "betas": list(settings["real_betas"]),
            "error_by_parameters": by_width,
            "is_u": has_u,
        },
    }


def growth(total: dict[int, dict], sizes) -> float:
    """Slope of the mean over sizes."""
    return float(np.polyfit(sizes, [total[size]["mean"] for size in sizes], 1)[0])


def is_u(curve: list[dict]) -> bool:
    """Whether both ends are above the least value, by a point and by two standard errors."""
    least = min(curve, key=lambda error: error["mean"])
    return all(
        end["mean"] - least["mean"] > max(0.01, 2 * np.hypot(end["spread"], least["spread"]))
        for end in (curve[0], curve[-1])
    )


def mean_and_spread(values) -> dict:
    """Mean and its standard error over the seeds in which there is a value."""
    values = np.asarray(values)[np.isfinite(values)]
    if len(values) == 0:
        return {"mean": float("nan"), "spread": float("nan"), "seeds": 0}
    spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": values.mean(), "spread": spread, "seeds": len(values)}


def plain(found):
    """The same as JSON knows it: what is not a number becomes null."""
    if isinstance(found, dict):
        return {str(key): plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return [plain(value) for value in found]
    if isinstance(found, np.generic):
        found = found.item()
    return None if isinstance(found, float) and not np.isfinite(found) else found


def shown(found: dict, digits: int = 2) -> str:
    """Mean and standard error in a sentence."""
    return f"{found['mean']:.{digits}f} +- {found['spread']:.{digits}f}"


def setting(settings: dict, what: str) -> str:
    """The setting of a claim in a few words."""
    return (
        f"{settings['data']}, {settings['code']}, {what}, N = {settings['sizes'][0]} to "
        f"{settings['sizes'][-1]}, {len(settings['seeds'])} seeds"
    )
