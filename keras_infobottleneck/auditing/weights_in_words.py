"""The information in the weights, in words: compared with that in the labels, and its limits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keras_infobottleneck.auditing.entries import Verdict, number_in_words
from keras_infobottleneck.auditing.findings import Findings

__all__ = [
    "has_lost_the_network",
    "noise_is_large",
    "sentences_on_weights",
    "verdict_on_noise",
    "verdict_on_weights",
]

# Noise that adds this share of the loss of guessing is large.
LARGE_NOISE = 0.25
PLAIN = "training with noise on the weights: `kib.make_variational`, then a `weight_beta`"


def noise_is_large(findings: Findings) -> bool:
    """Whether the noise of the weights' code is too large for the code to be reliable."""
    held, guessing = findings.weights, findings.label_nats
    if held is None or held.excess_loss is None or guessing is None:
        return False
    drawn: Any = findings.others.get("drawn_code")
    excess = held.excess_loss if drawn is None else drawn.excess_loss_at_full_price
    return excess > LARGE_NOISE * guessing


def has_lost_the_network(findings: Findings) -> bool:
    """Whether networks drawn from the code at the full price are no better than guessing."""
    held, drawn = findings.weights, findings.others.get("drawn_code")
    return held is not None and drawn is not None and drawn.beta < held.beta


def sentences_on_weights(findings: Findings) -> Iterable[str]:
    """Sentences on the nats compared with those of the labels, and on their reliability."""
    held, labels_hold = findings.weights, findings.label_nats
    if held is None:
        return
    held_how = "hold, by their Gaussian code,"
    if held.structure == "posterior":
        held_how = "pay for" if held.beta else "hold, at a price of 0,"
    drawn: Any = findings.others.get("drawn_code")
    if has_lost_the_network(findings):
        lost = drawn.excess_loss_at_full_price, drawn.standard_error_at_full_price
        yield (
            f"A code of its weights at weight_beta = 1 loses the network: drawn, its noise "
            f"adds {number_in_words(*lost, digits=3)} nats of loss where guessing has "
            f"{drawn.loss_of_guessing:.3g}. It works up to weight_beta = "
            f"{drawn.beta * held.num_examples:.3g}, where the weights hold "
            f"{number_in_words(drawn.nats)} nats."
        )
        return
    labels = ""
    if labels_hold is not None:
        labels = f", where {findings.labels_in_words} holds at most {labels_hold:.3g}"
    error = held.standard_error or 0.0
    each = number_in_words(held.nats_per_example, error / held.num_examples, digits=3)
    yield (
        f"Its weights {held_how} {number_in_words(held.nats, error)} nats: {each} per "
        f"example{labels}."
    )
    if noise_is_large(findings):
        yield (
            "These nats are good to a factor of two or three at best: the code's noise adds "
            f"{_loss_of_noise(findings, 3)} nats of loss, which is not small."
        )


def verdict_on_weights(findings: Findings) -> Verdict | None:
    """Whether the weights hold enough nats to have memorised the labels."""
    held, labels_hold = findings.weights, findings.label_nats
    if held is None:
        return None
    if labels_hold is None:
        error = (held.standard_error or 0.0) / held.num_examples
        each = number_in_words(held.nats_per_example, error, digits=2)
        return Verdict(
            f"Holds {each} nats an example: compare networks by it.",
            f"{number_in_words(held.nats, held.standard_error)} nats over "
            f"{held.num_examples:,} examples",
            "what labels hold is known for classes only",
        )
    is_paid, lost = held.structure == "posterior", has_lost_the_network(findings)
    drawn: Any = findings.others.get("drawn_code")
    total = drawn.nats if lost else held.nats
    error = 0.0 if lost else held.standard_error or 0.0
    nats = total / held.num_examples
    evidence = (
        f"{number_in_words(total, error)} nats shared out over "
        f"{held.num_examples:,} examples; {findings.labels_in_words} holds at most "
        f"{labels_hold:.3g} nats, the entropy of the classes"
    )
    unsure = "the divergence is exact; biases and other weights without noise are not in it"
    if not is_paid:
        unsure = "a local approximation by a diagonal, which over-counts"
    if lost:
        unsure += (
            f"; at the price {drawn.beta * held.num_examples:.2g}, the largest at which networks "
            "drawn from the code still beat a guess"
        )
    elif drawn is not None:
        unsure += f"; drawn, the code's noise adds {_loss_of_noise(findings, 2)} nats of loss"
    elif noise_is_large(findings):
        unsure += (
            ", good to a factor of two or three at best: its noise would add "
            f"{_loss_of_noise(findings, 2)} nats of loss"
        )
    holds = f"Holds {number_in_words(nats, error / held.num_examples, digits=2)} nats an example"
    of_label = f"the {labels_hold:.2g} of {findings.labels_in_words}"
    if nats > labels_hold:
        lower = "a larger `weight_beta`" if is_paid else PLAIN
        statement = f"{holds}, more than {of_label}: it can remember every label. Lower it by"
        return Verdict(f"{statement} {lower}.", evidence, unsure, 2)
    if _cost_of_noise(findings) > LARGE_NOISE * labels_hold:
        # So few nats are those of a network that has forgotten, not of the trained one.
        known = labels_hold - (findings.task.loss if findings.task else 0.0)
        told = (
            f"of the {known:.2g} nats that the network tells of {findings.labels_in_words}"
            if known > 0.0
            else f"nats of a network that tells nothing of {findings.labels_in_words}"
        )
        statement = (
            f"{holds} by a code whose noise costs {_loss_of_noise(findings, 2)} {told}: too noisy "
            f"to say whether it has labels by heart. To know, try {PLAIN}."
        )
        return Verdict(statement, evidence, unsure, 1)
    few = "it cannot" if is_paid else "too little to"
    return Verdict(
        f"{holds}, less than {of_label}: {few} have all labels by heart.", evidence, unsure
    )


def verdict_on_noise(findings: Findings) -> Verdict | None:
    """The verdict if the noise has no price: only the signal-to-noise ratios are known."""
    pruning = findings.pruning
    if pruning is None:
        return None
    kept, threshold = float(pruning.kept[-1]), float(pruning.thresholds[-1])
    return Verdict(
        "Its weights have noise and no price: hold the network in an "
        "`InformationBottleneckModel`, which charges for what they know.",
        f"{kept:.0%} of {pruning.num_weights:,} weights are {threshold:g} times their noise or "
        "more",
        "exact for these weights; what they hold is not known",
        1,
    )


def _cost_of_noise(findings: Findings) -> float:
    """Nats of loss that the noise of the reported code adds, 0 for a trained posterior."""
    held, drawn = findings.weights, findings.others.get("drawn_code")
    cost: Any = held if drawn is None else drawn
    return 0.0 if cost is None else cost.excess_loss or 0.0


def _loss_of_noise(findings: Findings, digits: int) -> str:
    """These nats in words, with their error if the noise was drawn and not predicted."""
    drawn: Any = findings.others.get("drawn_code")
    error = None if drawn is None else drawn.standard_error
    return number_in_words(_cost_of_noise(findings), error, digits=digits)
