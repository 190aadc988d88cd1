"""Verdicts of the experiment, computed from its records alone.

"Between" are the layers with a resolution between 0.3 and 0.95: below, every state is frequent and
relevance equals resolution; above, every state is distinct, for any network.
"""

import numpy as np

from reproduction.frame.verdicts import CONTROL, paired, said, verdict, would_show

CLAIMS = {
    "4-a": "Layers of a deep belief network lie close to the curve of maximal relevance.",
    "4-b": "The layer that generates most reliably is the one nearest Zipf's law.",
    "4-d": "Learning takes a Boltzmann machine's hidden layer towards maximal relevance.",
    "4-e": "A trained layer is more relevant than untrained and shuffled ones at one resolution.",
}
AT_FULL_SIZE = (  # claims, and the settings of --full
    "4-a, 4-b, 4-d, 4-e",
    "the network of the MNIST row, 100 epochs per layer, 5 seeds",
)

FIRST = {"4-a": "resolution_relevance_persistent"}  # the authors' epochs, with chains that persist

WOULD_TELL = {  # runs that would settle claims which these cannot
    "4-a": "100 epochs per layer, with persistent chains and a falling learning rate",
    "4-b": "more seeds; or the authors' own measure of reliable generation",
    "4-d": "more seeds",
}

BETWEEN = (0.3, 0.95)
NEAR = 0.9  # share of the most relevance possible
# Measures of free samples of a layer (lower is better), with their descriptions.
QUALITIES = {
    "nearest_neighbour_accuracy": "nearest-neighbour accuracy",
    "frechet_distance": "Frechet distance",
}
LEVEL = 0.05  # of tests, paired over seeds


def judge(records: list[dict], settings: dict) -> dict[str, dict]:
    """One verdict for each claim."""
    setting = (
        f"{settings['data']}, deep belief network {'-'.join(map(str, settings['units']))}, "
        f"{settings['epochs']} epochs a layer, {settings['seeds']} seeds"
    )
    if settings.get("persistent"):
        setting += ", persistent chains, a rate that falls from 0.05"
    judges = {
        "4-a": layers_lie_near_the_curve,
        "4-b": zipf_layer_generates_best,
        "4-d": learning_broadens_energies,
        "4-e": trained_layers_beat_controls,
    }
    return {name: {"setting": setting, **function(records)} for name, function in judges.items()}


def judge_kept(result: dict) -> dict[str, dict]:
    """The claims of a stored result, judged again from its records."""
    judged = judge(result["records"], result["settings"])
    return {number: {**claim, **judged[number]} for number, claim in result["claims"].items()}


def layers_lie_near_the_curve(records: list[dict]) -> dict:
    """Layers lie near maximal relevance; with depth it rises, then falls, as resolution falls."""
    shapes, shares = [], []
    for record in records:
        layers = record["network"]["layers"]
        resolution = [layer["resolution"] for layer in layers]
        top = int(np.argmax([layer["relevance"] for layer in layers]))
        shapes.append(bool(np.all(np.diff(resolution) < 0)) and 0 < top < len(layers) - 1)
        shares += [
            layer["relevance"] / (layer["relevance"] + layer["below_curve"])
            for layer in between(layers)
        ]
    return {
        "measured": f"{ranges(shares)} of the most relevance possible; shape as claimed in "
        f"{sum(shapes)} of {len(shapes)} networks",
        "verdict": verdict(all(shapes) and min(shares, default=0) >= NEAR, all(shapes)),
        "criterion": "in every network resolution falls from layer to layer, relevance is largest "
        f"in between, and each layer between has {NEAR:.0%} of the most relevance possible at its "
        "resolution; partly: the shape alone",
        "numbers": {"shares": shares, "shapes": shapes},
    }


def zipf_layer_generates_best(records: list[dict]) -> dict:
    """No layer draws better images than the one nearest Zipf's law, mu = 1."""
    networks = [record["network"]["layers"] for record in records]
    zipf = [_number(layers, lambda e: -abs(e.get("mu", np.inf) - 1)) for layers in networks]
    found, is_best, is_beaten = {}, {}, {}
    for name in QUALITIES:
        values = np.array([[layer[name] for layer in layers] for layers in networks])
        own = values[np.arange(len(zipf)), np.subtract(zipf, 1)]
        # Lead of each layer over the Zipf layer, over seeds.
        ahead = own[:, None] - values
        others = max(ahead.shape[1] - 1, 1)
        tests = [paired(column, others) for column in ahead.T] if len(own) > 1 else []
        better = [i + 1 for i, t in enumerate(tests) if t["low"] > 0 and others * t["p"] < LEVEL]
        worse = [i + 1 for i, t in enumerate(tests) if t["high"] < 0 and others * t["p"] < LEVEL]
        means = values.mean(0)
        best = int(np.argmin(means)) + 1
        is_best[name] = bool(tests) and not better and bool(worse)
        is_beaten[name] = bool(better)
        found[name] = {
            "means": means.tolist(),
            "zipf": float(own.mean()),
            "better": better,
            "worse": worse,
            "best": best,
            "ahead": tests[best - 1] if tests else None,
        }
    listed = "; ".join(
        f"{QUALITIES[name]} {each['zipf']:.3g} there, "
        f"{_listed(f'{mean:.3g}' for mean in each['means'])} from the first layer to the last, "
        f"better than there in {_listed(each['better'])}, worse in {_listed(each['worse'])}"
        for name, each in found.items()
    )
    kept = [_number(layers, lambda e: e["class_kept"]) for layers in networks]
    sure = [_number(layers, lambda e: e["free_confidence"]) for layers in networks]
    power = [
        f"{QUALITIES[name]}: {would_show(each['ahead'])}"
        for name, each in found.items()
        if each["ahead"]
    ]
    return {
        "measured": f"nearest mu = 1 is layer {_listed(zipf)}; {listed}",
        "verdict": verdict(
            all(is_best.values()), any(is_best.values()), false=all(is_beaten.values())
        ),
        "criterion": "images that a layer draws freely against held-out ones, in the features of a "
        "classifier, by the accuracy of a nearest neighbour that tells the two (1/2 is best) and "
        "by the Frechet distance: by both no layer is better than the one nearest mu = 1, and some "
        "layer is worse, paired over seeds (p < 0.05 after multiplying by the number of other "
        "layers); partly: by one; false as stated: by both some layer is better",
        "before": {
            "criterion": "in every network the layer nearest mu = 1 keeps the class best and "
            "generates most surely; partly: one of the two",
            "verdict": verdict(kept == zipf and sure == zipf, kept == zipf or sure == zipf),
            "why": "a layer that draws one class alone is the surest; the measures now punish lost "
            "classes",
        },
        **({"power": "; ".join(power)} if power else {}),
        "numbers": {"zipf": zipf, "qualities": found, "kept": kept, "sure": sure},
    }


def learning_broadens_energies(records: list[dict]) -> dict:
    """Learning broadens the energies of hidden states, more than their entropy alone does."""
    machines = [record["machine"] for record in records]
    before, after = ([m[moment]["energies"] for m in machines] for moment in ("before", "after"))
    apart = [each["units_apart"] for each in after]
    stds = [[each["std"] for each in group] for group in (before, after, apart)]
    relevances = [[each["relevance"] for each in group] for group in (before, after, apart)]
    entropies = [each["entropy"] for each in after]
    broader = [after > before for before, after in zip(*stds[:2], strict=True)]
    excess = np.subtract(relevances[1], relevances[2])
    over = paired(excess) if len(excess) > 1 else None
    is_more = over is not None and over["low"] > 0
    is_less = over is not None and over["high"] < 0
    samples = [
        [m[moment][key] for m in machines]
        for key in ("energy_std", "below_curve")
        for moment in ("before", "after")
    ]
    was_broader = [after > before for before, after in zip(*samples[:2], strict=True)]
    was_nearer = [after < before for before, after in zip(*samples[2:], strict=True)]
    units = machines[0]["after"]["units"]
    return {
        "measured": f"machine of {units} units, all states, exactly: standard deviation of the "
        f"energies {ranges(stds[0])} nats before, {ranges(stds[1])} after, where the states have "
        f"{ranges(entropies)} nats; relevance of the energies {ranges(relevances[1])} nats, of "
        f"units taken apart at the same entropy {ranges(relevances[2])}, whose energies have a "
        f"standard deviation of {ranges(stds[2])}"
        + (f"; the machine's relevance is {said(over)} nats more" if over else ""),
        "verdict": verdict(
            all(broader) and is_more, all(broader) or is_more, false=is_less and not all(broader)
        ),
        "criterion": "in every machine the energies of all states, weighted as the machine draws "
        "them, spread more after learning than before; and their entropy is larger than that of "
        "units that are on as often but know nothing of each other, cooled to the same entropy of "
        "the states, paired over seeds (p < 0.05); partly: one of the two",
        "before": {
            "criterion": "in every machine the energies of the hidden states spread more, and the "
            "states are nearer the curve, after learning than before; partly: one of the two",
            "verdict": verdict(
                all(was_broader) and all(was_nearer), all(was_broader) or all(was_nearer)
            ),
            "why": "states of training images at unequal resolution say little; the claim is of "
            "the energies of the machine, which are exact at this size",
        },
        **({"power": f"relevance of the energies: {would_show(over)}, in nats"} if over else {}),
        "numbers": {"energy_std": stds, "relevance": relevances, "entropy": entropies},
    }


def trained_layers_beat_controls(records: list[dict]) -> dict:
    """At equal resolution trained layers have more relevance than shuffled and random units."""
    over_null, over_random, wins = [], [], []
    for record in records:
        chance = sorted(
            (e["resolution"], e["relevance"]) for e in record["network"]["random_units"]
        )
        for layer in between(record["network"]["layers"]):
            excess = layer["relevance"] - layer["null_relevance_at_equal_resolution"]
            over_null.append(excess)
            wins.append(excess > 2 * layer["null_relevance_std"])
            at = np.interp(layer["resolution"], *np.transpose([(0.0, 0.0), *chance]))
            over_random.append(layer["relevance"] - at)
    return {
        "measured": f"above shuffled units {ranges(over_null)} log M, by two of their standard "
        f"deviations in {sum(wins)} of {len(wins)} layers; above random units "
        f"{ranges(over_random)}",
        "verdict": CONTROL,
        "criterion": "no claim of the paper's and not counted: whether each layer between has "
        "more relevance than its units shuffled apart, by two standard deviations, and than "
        "random linear units, at equal resolution",
        "before": {
            "criterion": "each layer between beats both; partly: random units alone",
            "verdict": verdict(
                all(wins) and min(over_random, default=-1) > 0, min(over_random, default=-1) > 0
            ),
            "why": "the paper does not say so; the comparison is a control of ours",
        },
        "numbers": {"above_shuffled": over_null, "above_random": over_random},
    }


def between(layers: list[dict]) -> list[dict]:
    """Layers "between", whose relevance depends on the network."""
    return [layer for layer in layers if BETWEEN[0] < layer["resolution"] < BETWEEN[1]]


def ranges(values: list[float]) -> str:
    """The range of values, in words."""
    return f"{min(values):.3f} to {max(values):.3f}" if values else "none"


def _listed(numbers) -> str:
    """Numbers in words."""
    return ", ".join(map(str, numbers)) or "none"


def _number(layers, score) -> int:
    """Number of the layer with the highest score, from 1."""
    return int(np.argmax([score(layer) for layer in layers])) + 1
