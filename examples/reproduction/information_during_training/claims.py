"""Verdicts of the experiment, computed from its records alone."""

import numpy as np
from scipy.stats import spearmanr

from reproduction.frame.verdicts import column, paired, said, spread, verdict

CLAIMS = {
    "3-d": "For logistic regression the Hessian is the Fisher matrix.",
    "3-e": "A smaller batch or a larger learning rate lowers the Fisher trace at the end.",
    "3-f": "Training on fewer classes ends at a lower Fisher trace.",
    "3-h": "The Gaussian code of a trained network holds far more nats than its labels.",
    "3-fig-1": "The log determinant of the Fisher matrix rises in bumps, then falls (figure 1).",
}
AT_FULL_SIZE = (  # claims, and the settings of --full
    "3-e, 3-f, 3-h",
    "ResNet-18 on CIFAR-10, 30 epochs, batches of 32 to 2,048, 5 seeds",
)

ORDERED = 0.9  # rank correlation, in every seed, from which a curve counts as rising
LATE_FALL = 0.9  # a curve has fallen if it ends below this share of its maximum
EQUAL = 1e-10  # float64, relative


def judge(groups: dict[str, list[dict]], settings: dict) -> dict[str, dict]:
    """One verdict for each claim."""
    images = (
        f"{settings['data']}, "
        f"{settings['num_examples']} images at most, {settings['network']} network, "
        f"{settings['epochs']} epochs, {settings['seeds']} seeds"
    )
    points = f"{settings['points']} points on spirals, 3 layers, {settings['seeds']} seeds"
    return {
        "3-d": hessian_equals_fisher(groups["hessian"]),
        "3-e": {"setting": images, **noisier_descent_lowers_the_trace(groups)},
        "3-f": {"setting": images, **fewer_classes_lower_the_trace(groups)},
        "3-h": {"setting": images, **the_gaussian_code_is_vacuous(groups, settings)},
        "3-fig-1": {"setting": points, **log_determinant_rises_and_falls(groups["points"])},
    }


def hessian_equals_fisher(records: list[dict]) -> dict:
    """3-d: largest entry of the difference."""
    linear, hidden = column(records, "logistic"), column(records, "hidden_layer")
    return {
        "setting": f"5 features, 3 classes, 60 examples, float64, {len(records)} seeds",
        "criterion": f"largest entry of H - F over that of H at most {EQUAL:g}, in every seed",
        "verdict": verdict(linear.max() <= EQUAL),
        "measured": f"largest entry of H - F at most {linear.max():.0e} of that of H; with a "
        f"hidden layer {shown(hidden)}",
        "numbers": {"logistic": linear.tolist(), "hidden_layer": hidden.tolist()},
    }


def noisier_descent_lowers_the_trace(groups: dict[str, list[dict]]) -> dict:
    """3-e: against batch size and learning rate, at equal epochs and at equal loss."""
    by_batch = sweep(groups["batch"], "batch_size")
    by_rate = sweep(groups["rate"], "learning_rate", sign=-1)
    both = (by_batch, by_rate)
    ordered = [s["at_equal_epochs"]["ordered"] for s in both]
    at_equal_loss = [s["at_equal_loss"]["ends_differ"] for s in both]
    return {
        "criterion": "partly: trace after all epochs ordered by batch size or by learning rate "
        f"(rank correlation at least {ORDERED} in every seed, ends two standard errors apart); "
        "reproduced: by both, and the ends of both two standard errors apart the same way at the "
        "training loss that every run of a seed reached",
        "verdict": verdict(all(ordered) and all(at_equal_loss), any(ordered)),
        "measured": f"trace after all epochs {ends(by_batch, 'at_equal_epochs', 'batch')}; "
        f"{ends(by_rate, 'at_equal_epochs', 'rate')}; at equal training loss "
        f"{ends(by_batch, 'at_equal_loss', 'batch')}; {ends(by_rate, 'at_equal_loss', 'rate')}",
        "numbers": {"batch_size": by_batch, "learning_rate": by_rate},
    }


def fewer_classes_lower_the_trace(groups: dict[str, list[dict]]) -> dict:
    """3-f: as published, and with equal numbers of examples and outputs."""
    published = sweep(groups["classes"], "classes")
    equal = sweep(groups["equal_classes"], "classes")
    ordered = [s["at_equal_epochs"]["ordered"] for s in (published, equal)]
    return {
        "criterion": "final trace ordered by the number of classes (rank correlation at least "
        f"{ORDERED} in every seed, ends two standard errors apart), as published and with equal "
        "examples and outputs; partly: one of the two",
        "verdict": verdict(all(ordered), any(ordered)),
        "measured": f"final trace {ends(published, 'at_equal_epochs', 'classes')} as published; "
        f"{ends(equal, 'at_equal_epochs', 'classes')} with equal examples and outputs, there at "
        f"equal training loss {ends(equal, 'at_equal_loss', 'classes')}",
        "numbers": {"published": published, "equal_examples_and_outputs": equal},
    }


def the_gaussian_code_is_vacuous(groups: dict[str, list[dict]], settings: dict) -> dict:
    """3-h: compared with the information in the labels."""
    smallest = min(r["batch_size"] for r in groups["batch"])
    trained = [r for r in groups["batch"] if r["batch_size"] == smallest]
    labels = trained[0]["num_examples"] * np.log(settings["num_classes"])
    of_code = column([r["rows"][-1] for r in trained], "information") / labels
    codes = {
        f"{found[0]['num_weights']} weights": {
            price: {
                "over_labels": [r["by_price"][price]["nats"] / labels for r in found],
                "excess_loss": [r["by_price"][price]["excess_loss"] for r in found],
            }
            for price in found[0]["by_price"]
        }
        | {"prior_scale_one": [r["at_prior_scale_one"]["nats"] / labels for r in found]}
        for found in grouped(groups["code"], "width_factor")
    }
    paying = {
        f"{found[0]['weight_beta']:g}": {
            "over_labels": list(column(found, "information") / labels),
            "test_accuracy": list(column(found, "test_accuracy")),
        }
        for found in grouped(groups["paying"], "weight_beta")
    }
    of_prices = [
        f"{shown(row[price]['over_labels'])} at weight_beta = {price}, whose noise adds "
        f"{np.mean(row[price]['excess_loss']):.2f} nats to the loss"
        for row in list(codes.values())[:1]
        for price in list(row)[:3]
    ]
    of_widest = [
        f"{shown(row['1']['over_labels'])} at 1 with {weights}"
        for weights, row in list(codes.items())[1:]
    ]
    of_paying = [
        f"{shown(row['over_labels'], 4)} at weight_beta = {beta} "
        f"(test accuracy {shown(row['test_accuracy'])})"
        for beta, row in paying.items()
    ]
    return {
        **_vacuous(of_code),
        "measured": f"in units of N log |Y| = {labels:.0f} nats, {next(iter(codes))}, test "
        f"accuracy {shown(column(trained, 'test_accuracy'))}: {'; '.join(of_prices + of_widest)}; "
        f"networks trained to pay: {', '.join(of_paying)}",
        "numbers": {
            "labels": float(labels),
            "code_over_labels": of_code.tolist(),
            "by_width_and_weight_beta": codes,
            "paying_by_weight_beta": paying,
        },
    }


def _vacuous(of_code) -> dict[str, str]:
    """Criterion, verdict and power of 3-h, from nats of the code over those of the labels."""
    of_code = np.asarray(of_code)
    found = paired(of_code)
    return {
        "criterion": "information in the weights at beta = 1/N and the best prior scale over "
        "N log |Y|: at least 3 in every seed; partly: at least 1; false as stated: the 95 % "
        "interval over seeds ends under 1",
        "verdict": verdict(of_code.min() >= 3.0, of_code.min() >= 1.0, false=found["high"] < 1.0),
        "authors": "ResNet-18 on CIFAR-10, beta and prior scale not printed",
        "power": f"95 % interval over seeds {found['low']:.2f} to {found['high']:.2f} N log |Y|",
    }


def judge_kept(result: dict) -> dict[str, dict]:
    """The claims of a stored result, judged again from the numbers in it."""
    claims = {number: dict(claim) for number, claim in result["claims"].items()}
    claims["3-h"] |= _vacuous(claims["3-h"]["numbers"]["code_over_labels"])
    return claims


def grouped(records: list[dict], name: str) -> list[list[dict]]:
    """Lists of records with equal settings, in order."""
    values = np.unique(column(records, name))
    return [[r for r in records if r[name] == value] for value in values]


def log_determinant_rises_and_falls(records: list[dict]) -> dict:
    """Figure 1, with the control for certain predictions."""
    names = ("log_det", "rescaled_log_det", "trace", "rescaled_trace", "jacobian")
    left = {name: [] for name in names}  # at the end, over that at the largest log determinant
    bumps = []
    for record in records:
        log_det = column(record["rows"], "log_det")
        inside = log_det[1:-1]
        bumps.append(int(np.sum((inside > log_det[:-2]) & (inside > log_det[2:]))))
        for name in names:
            curve = column(record["rows"], name)
            left[name].append(float(curve[-1] / curve[np.argmax(log_det)]))
    falls = {name: max(shares) < LATE_FALL for name, shares in left.items()}
    by_factor = [record["by_factor"] for record in records]
    drops = [traces["1"] / traces["2"] for traces in by_factor]
    return {
        "criterion": f"partly: log det(I + N F) ends under {LATE_FALL} of its maximum in every "
        "seed; reproduced: with the logits rescaled to one entropy of the predictions it ends "
        f"under {LATE_FALL} of what it was there too. Maxima on the way are counted, not judged",
        "verdict": verdict(falls["log_det"] and falls["rescaled_log_det"], falls["log_det"]),
        "measured": f"{min(bumps)} to {max(bumps)} maxima on the way; from its greatest value to "
        f"the end the log determinant is left at {shown(left['log_det'])}, at "
        f"{shown(left['rescaled_log_det'])} with the entropy of the predictions held; traces at "
        f"{shown(left['trace'])} and {shown(left['rescaled_trace'])}, derivatives of the logits "
        f"at {shown(left['jacobian'])}; doubling the logits of the trained network divides the "
        f"trace by {shown(drops, 0)} at the same boundary",
        "numbers": {"left": left, "bumps": bumps, "trace_by_factor_of_logits": by_factor},
    }


def sweep(records: list[dict], setting: str, sign: int = 1) -> dict[str, dict]:
    """Fisher trace by a setting, after all epochs and at a loss that all runs of a seed reached.

    `sign` is that of the expected trend.
    """
    values = np.unique(column(records, setting))
    losses = []
    traces = {"at_equal_epochs": [], "at_equal_loss": [], "jacobian_at_equal_loss": []}
    for seed in np.unique(column(records, "seed")):
        runs = {r[setting]: r["rows"] for r in records if r["seed"] == seed}
        loss = max(rows[-1]["loss"] for rows in runs.values())
        losses.append(loss)
        traces["at_equal_epochs"].append([runs[v][-1]["trace"] for v in values])
        traces["at_equal_loss"].append([at_loss(runs[v], loss, "trace") for v in values])
        traces["jacobian_at_equal_loss"].append(
            [at_loss(runs[v], loss, "jacobian") for v in values]
        )
    trends = {name: trend(values, np.array(found), sign) for name, found in traces.items()}
    return {"equal_loss": losses, **trends}


def trend(values, traces, sign) -> dict:
    """Mean and standard error by value, and whether traces, ``[seeds, values]``, follow it."""
    means = traces.mean(axis=0)
    errors = [spread(by_seed)["standard_error"] for by_seed in traces.T]
    ranks = [round(float(sign * spearmanr(values, by_value)[0]), 6) for by_value in traces]
    differ = bool(sign * (means[-1] - means[0]) > 2 * np.hypot(errors[0], errors[-1]))
    return {
        "values": values.tolist(),
        "means": means.tolist(),
        "standard_errors": errors,
        "rank_correlations": ranks,
        "ends_differ": differ,
        "ordered": differ and min(ranks) >= ORDERED,
    }


def at_loss(rows: list[dict], loss: float, name: str) -> float:
    """A measured number at the first time of a training loss, log-linear between epochs."""
    losses, values = column(rows, "loss"), column(rows, name)
    after = int(np.argmax(losses <= loss))
    if after == 0:
        return float(values[0])
    steps = np.log(losses[[after - 1, after]])
    share = (steps[0] - np.log(loss)) / (steps[0] - steps[1])
    return float((1 - share) * values[after - 1] + share * values[after])


def ends(found: dict, when: str, name: str) -> str:
    """The first and the last value of a sweep, with their traces."""
    row = found[when]
    first, last = (
        f"{row['means'][i]:.3g} ± {row['standard_errors'][i]:.2g} ({name} {row['values'][i]:g})"
        for i in (0, -1)
    )
    return f"{first} to {last}"


def shown(values, digits: int = 2) -> str:
    """Mean and standard error over seeds."""
    return said(spread(values), f".{digits}f")
