"""The sentences that open ``docs/reproduction.md``, each with its number and figure.

Every number is read from a file in ``docs/results``; without its file a sentence is left out.
"""

from collections.abc import Callable

from reproduction.frame.verdicts import said


def what_was_learned(results: dict[str, dict]) -> list[str]:
    """A heading and a numbered list; empty without results of MNIST."""
    sentences = []
    for stem, sentence in SENTENCES:
        if stem in results:
            claims = {n: c.get("numbers", {}) for n, c in results[stem]["claims"].items()}
            try:
                found = sentence(claims)
            except KeyError:  # stored by an earlier version, or by a test
                continue
            sentences.append(f"{len(sentences) + 1}. {found} ([figure](figures/{stem}.png))")
    return ["## What was learned", "", *sentences, ""] if sentences else []


def _labels_by_heart(claims):
    turns = claims["1-a"]["transition"]
    first, last = (turns[size]["mean"] for size in (min(turns, key=int), max(turns, key=int)))
    return (
        "A code for random labels stops memorising them at the same price for any number of "
        f"labels: half-way at beta {first:.2f} for {min(turns, key=int)} labels and {last:.2f} for "
        f"{max(turns, key=int)}, where theory says 1."
    )


def _ordinary_networks(claims):
    codes = claims["1-b"]["codes"]
    features = " ".join(
        f"{codes[name]['beta']['mean']:.2f} ({name.split()[0]})"
        for name in ("mlp features", "cnn features", "residual features")
    )
    return (
        "How far below 1 a network turns shows how much its code wastes on correlated inputs: a "
        f"perceptron turns at {codes['mlp']['beta']['mean']:.2f} on pixels, at "
        f"{codes['mlp whitened']['beta']['mean']:.2f} on whitened pixels, and networks whose "
        f"hidden layers stay at a shared seed, with whitened features, at {features}."
    )


def _a_nat_for_a_nat(claims):
    return (
        "No network needed less than log 10 nats per random label, in cross-entropy plus nats in "
        f"the weights, by more than {-claims['1-c']['least_excess']:.2f} nats, which its uncharged "
        "biases explain."
    )


def _real_labels(claims):
    held = claims["1-d"]
    largest = max(held["ratio"], key=int)
    return (
        f"Real labels are still fitted at {held['ratio'][largest]['mean']:.0f} times the price at "
        f"which {largest} random ones are forgotten, and another example costs "
        f"{held['nats_per_further_example']:.2f} nats at beta 1."
    )


def _nuisances(claims):
    pattern, label = claims["1-h"]["pattern"], claims["1-h"]["class"]
    low, high = min(pattern, key=float), max(pattern, key=float)
    return (
        "A price on its weights makes a network forget the pattern in front of the image before "
        f"the image: from {pattern[low]['mean']:.2f} to {pattern[high]['mean']:.2f} nats about the "
        f"pattern, from {label[low]['mean']:.2f} to {label[high]['mean']:.2f} about the class."
    )


def _heat_maps(claims):
    found = claims["2-b"]["at_authors"]
    return (
        "Information Dropout finds the digit in clutter without labels of its position: area under "
        f"the ROC curve {found['area']['mean']:.2f}, and the deeper layer separates digit and "
        f"clutter better in {found['deeper_in']} of {found['seeds']} seeds."
    )


def _dropout(claims):
    authors, tuned = claims["2-a"]["over_authors_dropout"], claims["2-a"]["over_tuned"]
    gains = [
        found["log_normal"]["gain"][min(found["log_normal"]["gain"], key=float)]
        for found in (authors, tuned)
    ]
    return (
        "Its gain over binary dropout in small networks depends on the comparator: "
        f"{said(gains[0], '.1%')} of test error over dropout with rate one half in all layers, "
        f"{said(gains[1], '.1%')} over a rate chosen on held-out images."
    )


def _gaussian_code(claims):
    of_code = claims["3-h"]["code_over_labels"]
    paying = claims["3-h"]["paying_by_weight_beta"]["1"]["over_labels"]
    return (
        "The Gaussian code of a trained network at beta = 1/N is not vacuous: "
        f"{sum(of_code) / len(of_code):.2f} of the nats of its labels, and "
        f"{sum(paying) / len(paying):.2f} if the network was charged for them in training."
    )


def _certificate(claims):
    networks = claims["3-thm-2.2"]
    return (
        "The same nats certify an error on new data of at most "
        f"{networks['cnn']['posterior']:.2%} where the test set has "
        f"{networks['cnn']['error on the test set']:.2%}; the prior alone has a bound of "
        f"{networks['cnn']['prior alone']:.2%}."
    )


def _planes(claims):
    needed = claims["5-g"]
    return (
        "Algorithmic complexity of the weights falls in training with weight decay and hardly "
        f"without, and does not predict how many bits a network needs: its error is "
        f"{needed['mean_error_bits']:.1f} bits, where that of always predicting the median is "
        f"{needed['mean_error_of_constant_bits']:.1f}."
    )


SENTENCES: list[tuple[str, Callable[[dict], str]]] = [
    ("random_labels_mnist", _labels_by_heart),
    ("random_labels_mnist", _ordinary_networks),
    ("random_labels_mnist", _a_nat_for_a_nat),
    ("random_labels_mnist", _real_labels),
    ("occlusions_mnist", _nuisances),
    ("occlusions_mnist", _heat_maps),
    ("small_networks_mnist", _dropout),
    ("information_during_training_mnist", _gaussian_code),
    ("certificate_mnist", _certificate),
    ("weight_complexity_mnist", _planes),
]
