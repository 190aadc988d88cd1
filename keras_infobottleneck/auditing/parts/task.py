"""Part of the report: performance on the task, and confidence of the predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.performance import TaskPerformance, task_performance
from keras_infobottleneck.auditing.subject import Subject

__all__ = ["Task"]

SAME_EXAMPLES = (
    "on the examples given; if it was trained on them, this does not tell learning from memory"
)


class Task(AuditPart):
    """Loss, accuracy and entropy of the predictions."""

    name, title, examples = "task", "The task", 2_000
    measures = (
        Measure(
            "loss",
            "loss",
            "nats per example",
            "exact for the examples taken; the error is over them",
            "Mean negative log-probability of the labels. On examples that trained the network, "
            "a small loss does not distinguish learning from memory.",
        ),
        Measure(
            "accuracy",
            "accuracy",
            "share of labels",
            "exact for the examples taken; the error is over them",
            "How often the most probable class is the label. Compare it with always predicting "
            "the most frequent class.",
        ),
        Measure(
            "prediction_entropy",
            "entropy of the predictions",
            "nats per label",
            "exact for the examples taken",
            "How uncertain the predictions are. Compare it with the entropy of the labels. If it "
            "is near 0, every Fisher number below is small for that reason alone.",
        ),
    )

    def reason_to_omit(self, subject: Subject) -> str | None:
        """Omitted without a likelihood, because there is no loss in nats."""
        return subject.reason_without_likelihood

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """The model's `TaskPerformance`."""
        sample = exam.examples("task")
        rows = exam.eager_batch_size
        return {"task": task_performance(exam.model, sample, exam.likelihood, rows)}

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Loss, and for classes accuracy and entropy."""
        task = findings.task
        if task is None:
            return
        beside = []
        if (labels_hold := findings.label_nats) is not None:
            beside.append(f"knowing only how frequent classes are: {labels_hold:.4g}")
        if (count := task.labels_per_example or 1) > 1:
            beside.append(
                f"summed over {round(count, 2):,} labels, where Keras takes the mean within each "
                "output"
            )
        yield self.reading("loss", "", task.loss, task.loss_standard_error, "; ".join(beside))
        if task.accuracy is not None:
            frequent = f"the most frequent class: {task.most_frequent:.4g}"
            error = task.accuracy_standard_error
            yield self.reading("accuracy", "", task.accuracy, error, frequent)
        if task.prediction_entropy is not None:
            labels = f"entropy of the labels: {task.label_entropy:.4g}"
            yield self.reading("prediction_entropy", "", task.prediction_entropy, None, labels)

    def verdict(self, findings: Findings) -> Verdict | None:
        """Whether the network is better than predicting the frequencies of the classes."""
        task: Any = findings.task  # with an accuracy, all numbers of labels are known too
        if task is None:
            return None
        if task.accuracy is None:
            loss = number_in_words(task.loss, task.loss_standard_error)
            return Verdict(
                "Its loss is a number to compare networks by, on the same examples: what a guess "
                "would cost is known for classes only.",
                f"loss {loss} nats per example by likelihood {task.likelihood!r}, on "
                f"{task.num_examples:,} examples",
                SAME_EXAMPLES,
                0,
            )
        labels_hold: Any = findings.label_nats
        error = task.accuracy_standard_error
        evidence = (
            f"accuracy {number_in_words(task.accuracy, error)} where the most frequent class gives "
            f"{task.most_frequent:.3g}; loss {_loss_of(task)} nats where the frequencies alone "
            f"give {labels_hold:.3g}, on {task.num_examples:,} examples"
        )
        hold = "a label holds"
        if (task.labels_per_example or 1) > 1:
            hold = f"{findings.labels_in_words} hold"
        if not task.accuracy - task.most_frequent > 2 * error:
            return Verdict(
                "It does no better than always answering the most frequent class: train it longer; "
                "where it pays for information (`weight_beta`, `beta`), lower the price or raise "
                "it slowly with a `BetaSchedule`.",
                evidence,
                SAME_EXAMPLES,
                2,
            )
        if task.loss > labels_hold:
            return Verdict(
                f"It is right on {_right_of(task)} of the examples, yet its probabilities are "
                "worse than the frequencies of the classes: it is too sure where it is wrong; "
                "calibrate it, or make it pay for its weights.",
                evidence,
                SAME_EXAMPLES,
                2,
            )
        nats = number_in_words(labels_hold - task.loss, task.loss_standard_error, digits=2)
        statement = f"It tells {nats} of the {labels_hold:.2g} nats that {hold}."
        return Verdict(statement, evidence, SAME_EXAMPLES, 0)

    def sentences(self, findings: Findings) -> Iterable[str]:
        """A sentence on accuracy and loss."""
        task = findings.task
        if task is None:
            return
        if task.accuracy is not None and (labels_hold := findings.label_nats) is not None:
            yield (
                f"It is right on {_right_of(task)} of {task.num_examples:,} examples, at a loss "
                f"of {_loss_of(task)} nats where the frequencies of the classes alone give "
                f"{labels_hold:.3g}."
            )
            return
        of = ""
        if task.likelihood == "normal":
            of = (
                ", of a normal distribution with variance 1 around the output, whatever the "
                "labels' scale"
            )
        yield f"Its loss on {task.num_examples:,} examples is {_loss_of(task)} nats{of}."


def _loss_of(task: TaskPerformance) -> str:
    """The loss with its error."""
    return number_in_words(task.loss, task.loss_standard_error)


def _right_of(task: Any) -> str:
    """The accuracy in per cent, with its error."""
    error = 100 * task.accuracy_standard_error
    return f"{number_in_words(100 * task.accuracy, error)} %"
