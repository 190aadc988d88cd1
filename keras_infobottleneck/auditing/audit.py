"""`audit`: arguments, and the order of the work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.auditing.examination import Examination, undisturbed
from keras_infobottleneck.auditing.layers import measure_layers
from keras_infobottleneck.auditing.measures import DEFAULT_EXAMPLES, PARTS
from keras_infobottleneck.auditing.plan import AuditPlan, find_layers
from keras_infobottleneck.auditing.report import InformationReport
from keras_infobottleneck.auditing.task import task_performance
from keras_infobottleneck.auditing.weights import (
    measure_fisher,
    measure_output_derivatives,
    measure_weights,
)
from keras_infobottleneck.data.sample import draw_sample
from keras_infobottleneck.estimators import maximum_relevance_curve, quantized_complexity
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.linear_algebra.operator import check_positive_integer
from keras_infobottleneck.models import InformationBottleneckModel

__all__ = ["audit"]


def audit(
    model: keras.Model,
    data: Any,
    *,
    nuisance: Any = None,
    layers: Sequence[str] | None = None,
    include: Collection[str] = tuple(PARTS),
    examples: Mapping[str, int] | None = None,
    num_examples: int | None = None,
    likelihood: str | Callable | None = None,
    seed: int = 0,
    dry_run: bool = False,
    verbose: int = 0,
) -> InformationReport | AuditPlan:
    """What a network knows: everything this package measures, for one model, in one report.

    The parts: "task" (loss, accuracy, sureness), "fisher" (trace and log-determinant of the
    diagonal), "weights" (nats by the Gaussian code, over all prices; of an
    `InformationBottleneckModel` the nats it pays), "activations" (nats that `InformationDropout`
    layers pay), "effective" (effective information of narrow layers and the output), "relevance",
    "total_correlation" and "nuisance" of the hidden layers, and "complexity" of the weights.

    Every number comes from an estimator of this package, called on a sample of `data` that `seed`
    decides, and stands in the report with its unit, its error, its null and a sentence on how it
    misleads. What cannot be measured for this model, or costs too much, is in the report with the
    reason. The model, its optimizer, metrics and seeds are afterwards as they were.

    Cost: one pass over `data` to draw the sample, which is held in memory (2,000 examples by
    default); then bounded by `examples` and the size of the model: some 15 seconds of processor
    time for a perceptron of 670,000 weights. The nuisance takes ten trainings of a small network
    for each layer.

    Args:
        model: any Keras model; hidden layers of a subclassed one once it was called on an array.
        data: best what it was trained on: `(x, y)` arrays, `x` alone, a `tf.data.Dataset` or a
            `keras.utils.PyDataset`.
        nuisance: `[examples]` or `[examples, ...]`, in the order of `data`: something that the
            hidden layers should not tell about. Integers or bool are classes.
        layers: names of the layers to measure, of nested models too; by default all of the model's
            own between input and output but those that hand on what they get, and the output for
            its effective information.
        include: the parts to measure.
        examples: how many examples a part takes at most, such as `{"fisher": 5000}`; a dry run
            says how many others take.
        num_examples: N, size of the training set, if `data` is only a part of it; an
            `InformationBottleneckModel` knows its own. The price of a nat in the weights is 1/N.
        likelihood: as of `fisher_information`; by default read from the compiled loss.
        seed: of the sample and everything drawn.
        dry_run: print and return what would be measured on how many examples, and do nothing.
        verbose: 1 for a Keras progress bar over parts and layers.

    Returns:
        An `InformationReport`: `print(report.table())`, `report.to_html("report.html")`.

    Raises:
        ValueError, TypeError: an argument that cannot be used, in one sentence, before any work.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    parts = _checked_parts(include)
    counts = _checked_counts(examples)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={seed!r}")
    if num_examples is not None:
        check_positive_integer("num_examples", num_examples)
    if isinstance(model, InformationBottleneckModel):
        if num_examples not in (None, model.num_examples):
            raise ValueError(
                f"An `InformationBottleneckModel` knows its `num_examples`, {model.num_examples}. "
                f"Received: num_examples={num_examples}"
            )
        num_examples = model.num_examples
    if likelihood is not None:
        find_likelihood(model, likelihood)
    with undisturbed(model):
        batches = batches_for(model, data, needs_labels=False)
        if nuisance is not None:
            nuisance = _checked_nuisance(nuisance, batches.num_examples)
        found, omitted = find_layers(model, layers)
        has_nuisance = nuisance is not None
        plan = AuditPlan.of(model, found, omitted, parts, counts, has_nuisance, likelihood)
        if dry_run:
            print(plan)
            return plan
        sample = draw_sample(batches, max(counts.values()), int(seed))
        if nuisance is not None:
            nuisance = _checked_nuisance(nuisance, sample.num_examples)
        exam = Examination(
            model=model,
            plan=plan,
            sample=sample,
            num_examples=num_examples or sample.num_examples,
            nuisance=nuisance,
            likelihood=likelihood,
            seed=int(seed),
            progress=keras.utils.Progbar(plan.num_steps, verbose=verbose, unit_name="measurement"),
            omissions=list(plan.omissions),
        )
        return _report(exam)


def _report(exam: Examination) -> InformationReport:
    """Measures part by part. Nothing that an estimator refuses makes it fail."""
    plan, task, complexity, hull = exam.plan, None, None, None
    if "task" in plan:
        task = exam.attempt(
            "task",
            "all",
            lambda: task_performance(exam.model, exam.examples("task"), exam.likelihood),
        )
        exam.measured()
    fisher = measure_fisher(exam)
    derivatives = measure_output_derivatives(exam) if fisher and "fisher" in plan else None
    weights = measure_weights(exam, fisher, task)
    layers = measure_layers(exam, fisher)
    if any(layer.relevance for layer in layers.values()):
        hull = maximum_relevance_curve(exam.examples("relevance").size)
    if "complexity" in plan:
        complexity = exam.attempt(
            "complexity", "all", lambda: quantized_complexity(exam.model, seed=exam.seed)
        )
        exam.measured()
    return InformationReport(
        model_name=exam.model.name,
        num_weights=plan.num_weights,
        num_examples=exam.num_examples,
        examples={part: exam.examples(part).size for part in plan.examples},
        seed=exam.seed,
        task=task,
        fisher=fisher if "fisher" in plan else None,
        output_derivatives=derivatives,
        layers=layers,
        maximum_relevance=hull,
        complexity=complexity,
        omissions=tuple(exam.omissions),
        **weights,
    )


def _checked_parts(include: Collection[str]) -> list[str]:
    """The parts asked for, in the report's order."""
    if isinstance(include, str) or not isinstance(include, Collection) or not include:
        raise ValueError(
            f"`include` must be a collection of parts, of {tuple(PARTS)}. "
            f"Received: include={include!r}"
        )
    unknown = [part for part in include if part not in PARTS]
    if unknown:
        raise ValueError(f"`include` must name parts of {tuple(PARTS)}. Received: {unknown}")
    return [part for part in PARTS if part in include]


def _checked_counts(examples: Mapping[str, int] | None) -> dict[str, int]:
    """How many examples each part takes."""
    if not isinstance(examples, Mapping | None):
        raise TypeError(
            f"`examples` must map parts to numbers of examples. Received: examples={examples!r}"
        )
    for part, count in (examples or {}).items():
        if part not in DEFAULT_EXAMPLES:
            raise ValueError(
                f"`examples` must name parts of {tuple(DEFAULT_EXAMPLES)}. Received: {part!r}"
            )
        check_positive_integer(f"examples[{part!r}]", count, 2)
    return {**DEFAULT_EXAMPLES, **(examples or {})}


def _checked_nuisance(nuisance: Any, count: int | None) -> np.ndarray:
    """Numbers, one for each example of the data where their count is known."""
    nuisance = np.asarray(nuisance)
    if nuisance.ndim < 1 or nuisance.dtype.kind not in "biuf":
        raise ValueError(
            "`nuisance` must be numbers, [examples, ...]. "
            f"Received: nuisance of shape {nuisance.shape} and dtype {nuisance.dtype}"
        )
    if count is not None and len(nuisance) != count:
        raise ValueError(
            "`nuisance` must have one entry for each example of `data`. "
            f"Received: {len(nuisance)} entries for {count} examples"
        )
    if len(nuisance) == 0 or np.all(nuisance == nuisance[:1]):
        raise ValueError("`nuisance` must vary. Received: a constant nuisance")
    return nuisance
