"""What each number of a report means, in which sense it is true, and how it misleads."""

from __future__ import annotations

import dataclasses

__all__ = ["DEFAULT_EXAMPLES", "MEASURES", "PARTS", "Measure"]

# Parts of a report, in its order.
PARTS = {
    "task": "The task",
    "fisher": "How the predictions follow the weights",
    "weights": "Information in the weights",
    "activations": "Information that noisy layers pay for",
    "effective": "Effective information in the activations",
    "relevance": "Resolution and relevance of hidden states",
    "total_correlation": "Total correlation of hidden layers",
    "nuisance": "Information about the nuisance",
    "complexity": "Complexity of the weights",
}

# Examples that each part takes; the information in the weights takes the Fisher matrix's.
DEFAULT_EXAMPLES = {
    "task": 2_000,
    "fisher": 1_000,
    "activations": 500,
    "effective": 50,
    "relevance": 2_000,
    "total_correlation": 2_000,
    "nuisance": 1_000,
}


@dataclasses.dataclass(frozen=True)
class Measure:
    """A kind of number.

    Attributes:
        part: of the report.
        label: what it is called there.
        unit: of the number and its error.
        truth: exact, unbiased, bound or approximation, and of what.
        reading: what it means, and how it misleads.
    """

    part: str
    label: str
    unit: str
    truth: str
    reading: str


MEASURES = {
    "loss": Measure(
        "task",
        "loss",
        "nats per example",
        "exact for the examples taken; the error is over them",
        "How surprised the network is by the labels. On examples it was trained on, a small loss "
        "does not tell learning from memory.",
    ),
    "accuracy": Measure(
        "task",
        "accuracy",
        "share of labels",
        "exact for the examples taken; the error is over them",
        "How often the most probable class is the label, beside always answering the most "
        "frequent one.",
    ),
    "prediction_entropy": Measure(
        "task",
        "entropy of the predictions",
        "nats per label",
        "exact for the examples taken",
        "How unsure the predictions are, beside the entropy of the labels. Near 0 every Fisher "
        "number below is small for that reason alone.",
    ),
    "fisher_trace": Measure(
        "fisher",
        "Fisher trace",
        "nats per squared weight",
        "exact for the examples taken, unbiased where labels are drawn",
        "How far the predicted distribution moves when weights do, summed over weights. It falls "
        "when predictions get sure, although the decision may stay as it is: read it beside their "
        "entropy.",
    ),
    "output_derivatives": Measure(
        "fisher",
        "squared derivatives of the logits",
        "per squared weight",
        "unbiased",
        "The same movement not weighed by sureness: the control of the Fisher trace.",
    ),
    "excess_logdet": Measure(
        "fisher",
        "log det(I + N F), diagonal",
        "nats",
        "upper bound: the determinant is at most the product of the diagonal",
        "Twice the nats by which the data narrow a unit Gaussian over the weights. Its size comes "
        "from that unit for the most part: only differences between networks alike mean something.",
    ),
    "code": Measure(
        "weights",
        "in all weights, by their Gaussian code at weight_beta = 1",
        "nats",
        "local approximation of one code's divergence, from a diagonal, which over-counts",
        "What it takes to write the weights down no more precisely than the loss needs, at one nat "
        "of training loss for each nat. It may be several times what the labels hold: compare "
        "networks by it, but do not take it for what was learned by heart.",
    ),
    "code_per_example": Measure(
        "weights",
        "per example, by their Gaussian code",
        "nats per example",
        "local approximation",
        "Beside what one label holds: weights with much less cannot have the labels by heart, "
        "weights with more need not.",
    ),
    "code_of": Measure(
        "weights",
        "Gaussian code",
        "nats",
        "local approximation",
        "Where in the network the nats are; they add up to all of them.",
    ),
    "excess_loss": Measure(
        "weights",
        "loss that the code's noise adds",
        "nats per example",
        "local approximation, too low where the noise is large",
        "What it costs to have weights only as precise as the code says. Where it is not small "
        "beside the loss of guessing, the nats above are good to a factor of two or three at best.",
    ),
    "posterior": Measure(
        "weights",
        "in all weights with noise",
        "nats",
        "exact divergence from the prior; averaged over training sets, a bound on I(weights; data)",
        "What training paid for. A learned prior scale costs nothing here, and weights without "
        "noise, such as biases, are not in it.",
    ),
    "posterior_per_example": Measure(
        "weights",
        "per example, paid",
        "nats per example",
        "exact",
        "Beside what one label holds: paid below it, the network cannot have all labels by heart, "
        "biases and normalisation apart.",
    ),
    "posterior_of": Measure(
        "weights",
        "paid",
        "nats",
        "exact",
        "Where in the network the nats are; they add up to all of them.",
    ),
    "kept": Measure(
        "weights",
        "weights above the threshold",
        "share of weights",
        "exact",
        "Weights whose |mean| is so many standard deviations of their noise, or more; biases and "
        "the like are not counted.",
    ),
    "pruned_accuracy": Measure(
        "weights",
        "accuracy with the others set to zero",
        "share of labels",
        "exact for the examples taken",
        "Where it stays, the weights below the threshold held nothing that the task needs on these "
        "examples.",
    ),
    "activation_information": Measure(
        "activations",
        "paid",
        "nats per example",
        "exact for the examples taken; on average an upper bound on I(layer; input), for the "
        "log-uniform prior up to a constant",
        "What the layer pays for what it lets through, summed over its units; 0 is all noise. "
        "Units that repeat each other pay each.",
    ),
    "effective_information": Measure(
        "effective",
        "about the input, under the noise of the weights' code",
        "nats per example",
        "local Gaussian approximation",
        "What the layer still tells of the input when weights carry the noise of their code. The "
        "few examples make it low, noise that is not small makes it wrong, and a unit that moves "
        "without noise makes it infinite.",
    ),
    "resolution": Measure(
        "relevance",
        "resolution",
        "log M",
        "exact for the sample of M examples",
        "Entropy of the on-off states of the units. Near 1 nearly every example has a state of its "
        "own, and more examples, not the layer, would change that.",
    ),
    "relevance": Measure(
        "relevance",
        "relevance",
        "log M",
        "exact for the sample; biased for its source",
        "Entropy of how often states occur. Counting noise makes relevance too: only what lies "
        "above the null of independent units at equal resolution is the layer's.",
    ),
    "total_correlation": Measure(
        "total_correlation",
        "total correlation",
        "nats",
        "unbiased for Gaussian units; linear dependence only for others",
        "How far the units depend on each other; 0 is disentangled. Noise and a narrow code lower "
        "it too.",
    ),
    "nuisance": Measure(
        "nuisance",
        "about the nuisance",
        "nats per example",
        "consistent; mostly low, and the error leaves out the discriminator's own",
        "What the layer tells of the nuisance, to the discriminator that was trained: one that "
        "finds nothing proves little.",
    ),
    "complexity": Measure(
        "complexity",
        "8-bit weights",
        "bits",
        "exact for the block decomposition, which stands in for algorithmic complexity",
        "Bits of the arrangement and the values of the weights. Never compare sizes by it: above "
        "some 10^6 weights it stops growing.",
    ),
    "complexity_ratio": Measure(
        "complexity",
        "complexity over that of the same weights shuffled",
        "ratio",
        "exact, over random shuffles",
        "Below 1 the weights are arranged; at 1 only the distribution of their values was "
        "measured.",
    ),
}
