"""Part of the report: how the predictions depend on the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import keras
import numpy as np

from keras_infobottleneck import estimators, plots
from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing, bars_by_layer
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.fisher.rules.gradients import BLOCK_BYTES
from keras_infobottleneck.introspection.contents import frozen_weights, weights_of_predictions

__all__ = ["NO_FISHER", "Fisher", "diagonal_of"]

# Up to this number of outputs, the exact expectation over labels is cheap.
MAX_EXPECTED = 20
# If predictions have less than this share of the labels' entropy, Fisher numbers are uninformative.
SURE = 0.02
NO_FISHER = "it takes the Fisher matrix, which could not be measured"


def diagonal_of(exam: Examination) -> estimators.FisherInformation | None:
    """The diagonal over the weights of the predictions, shared by all parts that need it."""

    def measure() -> estimators.FisherInformation:
        sample = exam.examples("fisher")
        outputs = keras.tree.flatten(exam.model(sample.first(1).x, training=False))
        size = sum(math.prod(output.shape[1:]) for output in outputs)
        is_cheap = size <= MAX_EXPECTED and not callable(exam.likelihood)
        return _diagonal(exam, exam.likelihood, "expected" if is_cheap else "sampled")

    return exam.once("fisher", lambda: exam.attempt("fisher", "all", measure))


def _diagonal(
    exam: Examination, likelihood: str | Callable | None, labels: Literal["expected", "sampled"]
) -> estimators.FisherInformation:
    """One diagonal Fisher matrix."""
    sample = exam.examples("fisher")
    found: Any = estimators.fisher_information(
        exam.model,
        sample.inputs,
        batch_size=min(exam.batch_size, sample.size),
        labels=labels,
        likelihood=likelihood,
        variables=weights_of_predictions(exam.model),
        seed=exam.seed,
    )
    return found


class Fisher(AuditPart):
    """Trace and log-determinant of the diagonal of the Fisher matrix."""

    name, title, examples = "fisher", "How the predictions follow the weights", 1_000
    measures = (
        Measure(
            "fisher_trace",
            "Fisher trace",
            "nats per squared weight",
            "exact for the examples taken, unbiased where labels are drawn",
            "How far the predicted distribution moves when the weights change, summed over "
            "weights. It falls when predictions become certain, although the decisions may stay "
            "the same: compare it with the entropy of the predictions.",
        ),
        Measure(
            "output_derivatives",
            "squared derivatives of the logits",
            "per squared weight",
            "unbiased",
            "The same derivatives, not weighted by how certain the predictions are: the control "
            "of the Fisher trace.",
        ),
        Measure(
            "excess_logdet",
            "log det(I + N F), diagonal",
            "nats",
            "upper bound: the determinant is at most the product of the diagonal",
            "Twice the nats by which the data narrow a unit Gaussian over the weights. Most of "
            "its size comes from the choice of that unit: only differences between networks of "
            "the same kind have a meaning.",
        ),
    )

    def reason_to_omit(self, subject: Subject) -> str | None:
        """Omitted without a likelihood, because there is no predicted distribution."""
        return subject.reason_without_likelihood

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """The diagonal, and its trace for unit noise on the outputs if these are logits."""
        fisher = diagonal_of(exam)
        if fisher is None:
            return {}
        frozen = frozen_weights(exam.model)
        if frozen:
            count = sum(math.prod(weight.shape) for weight in frozen)
            reason = f"they are frozen or integers; {frozen[0].path!r} is the first of them"
            exam.omit("fisher", f"{count:,} weights", reason)
        (where,) = [each.label for each in self.measures if each.name == "output_derivatives"]
        name = find_likelihood(exam.model, exam.likelihood).name
        if name not in ("categorical", "bernoulli"):
            exam.omit("fisher", where, f"the outputs are no logits; likelihood={name!r}")
            return {"fisher": fisher}
        derivatives = exam.attempt(
            "fisher", where, lambda: _diagonal(exam, "normal", "sampled").trace()
        )
        return {"fisher": fisher, "output_derivatives": derivatives}

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """Two diagonals, and gradients of a block of examples."""
        return 8 * num_weights + BLOCK_BYTES

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """The trace, its control, the log-determinant, and the trace by weight."""
        fisher, derivatives = findings.fisher, findings.output_derivatives
        if fisher is None:
            return
        trace = fisher.trace()
        error = trace.standard_error if fisher.labels == "sampled" else None
        yield self.reading("fisher_trace", "", float(trace), error)
        if derivatives is not None:
            error = derivatives.standard_error
            yield self.reading("output_derivatives", "", float(derivatives), error)
        # log det(I + N F) = log det(F + I / N) + k log N
        count = findings.num_examples
        logdet = fisher.logdet(1 / count) + fisher.size * math.log(count)
        yield self.reading("excess_logdet", "", logdet)
        for path, each in fisher.by_variable().items():
            weights = f"{each['size']:,} weights"
            yield self.reading("fisher_trace", path, each["trace"], None, weights)

    def verdict(self, findings: Findings) -> Verdict | None:
        """The weight on which predictions depend most, unless they are too certain to say."""
        fisher, task = findings.fisher, findings.task
        if fisher is None:
            return None
        if not fisher.trace() > 0:
            return Verdict(
                "Its predictions follow no weight: they are saturated, or a layer before them is "
                "dead. Train it from other starting weights, or with a smaller learning rate.",
                f"a trace of {float(fisher.trace()):.3g} over {fisher.size:,} weights",
                f"for the {fisher.num_examples:,} examples taken; others may move it",
                2,
            )
        traces = {path: each["trace"] for path, each in fisher.by_variable().items()}
        most = max(traces, key=lambda path: traces[path])
        trace = fisher.trace()
        share = traces[most] / float(trace)
        # With all labels, the error would be that of other examples, which is not in the table.
        is_drawn = fisher.labels == "sampled"
        error = trace.standard_error if is_drawn else None
        evidence = f"{share:.0%} of a trace of {number_in_words(float(trace), error)}"
        unsure = "the trace by weight is exact for the examples taken"
        if is_drawn:
            unsure = "labels are drawn, one for each example, which is where the error comes from"
        if task and task.prediction_entropy is not None and task.label_entropy is not None:
            sure = f"{task.prediction_entropy:.2g} of {task.label_entropy:.2g} nats a label"
            evidence += f"; entropy of the predictions {sure}"
            if task.prediction_entropy < SURE * task.label_entropy:
                return Verdict(
                    "Its predictions are so sure that every Fisher number is small for that reason "
                    "alone: a small trace is no flat minimum here.",
                    evidence,
                    unsure,
                    1,
                )
        return Verdict(
            f"Its predictions follow {most} most: noise, pruning and few bits hurt there first.",
            evidence,
            unsure,
            0,
        )

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """The diagonal by rank, with the level below which the code spends nothing."""
        if findings.fisher is None:
            return
        values, options = findings.fisher.eigenvalues(), dict[str, Any]()
        held: Any = findings.weights
        if not np.any(values > 0):
            return
        caption = "Entries of the Fisher diagonal by rank."
        scale = None if held is None else held.prior_scale
        if isinstance(scale, float) and 0 < scale < np.inf:
            level = held.beta / scale**2
            options = {"level": level, "level_label": "beta / prior_scale²"}
            caption += " The code spends next to nothing on weights far below the dashed line."
        label = "Fisher diagonal, nats per squared weight"
        yield Drawing(caption, partial(plots.plot_spectrum, values, label=label, **options))
        yield from bars_by_layer(
            "Fisher trace by weight.",
            {path: each["trace"] for path, each in findings.fisher.by_variable().items()},
            label="nats per squared weight",
            name="weight",
        )
