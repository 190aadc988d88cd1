"""`audit`: its arguments, and the order of the work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_count,
    check_flag,
    check_instance,
    check_model,
    check_names,
    check_numbers,
    check_verbose,
    described,
    refusal,
)
from keras_infobottleneck.auditing.cost import NUM_TRIED, with_costs
from keras_infobottleneck.auditing.examination import Examination, undisturbed
from keras_infobottleneck.auditing.findings import LayerInformation
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.plan import AuditPlan, measure
from keras_infobottleneck.auditing.registration import PARTS
from keras_infobottleneck.auditing.report import InformationReport
from keras_infobottleneck.auditing.subject import Subject
from keras_infobottleneck.data.sample import Sample, draw_sample, first_examples
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.models import InformationBottleneckModel

__all__ = ["audit"]


@on_replicas
def audit(
    model: keras.Model,
    data: Any,
    *,
    nuisance: Any = None,
    layers: Sequence[str] | None = None,
    parts: Sequence[AuditPart] = (),
    include: Collection[str] | None = None,
    examples: Mapping[str, int] | None = None,
    num_examples: int | None = None,
    likelihood: str | Callable | None = None,
    seed: int = 0,
    dry_run: bool = False,
    verbose: int = 0,
) -> InformationReport | AuditPlan:
    """Audits a model: everything that this package measures about it, in one report.

    Parts, the values of `include`:

    - "task": loss, accuracy, confidence of the predictions;
    - "fisher": trace and log-determinant of the diagonal;
    - "weights": nats by the Gaussian code, over all prices; for an `InformationBottleneckModel` the
      nats that it is charged for;
    - "examples": the examples that a plain network remembers most;
    - "activations": nats for which layers with noisy activations are charged;
    - "effective": effective information of narrow layers and of the output;
    - "relevance", "total_correlation", "nuisance": of the hidden layers;
    - "complexity": of the weights.

    Every number comes from an estimator of this package, applied to a sample of `data` that is
    determined by `seed`. The report shows it with its unit, its error, its null and a sentence on
    how it misleads. The report also lists what cannot be measured for this model, or costs too
    much, with the reason. The model, its optimizer, metrics and seeds are left unchanged.

    Cost:

    - one pass over `data` to draw the sample, 2,000 examples by default, held in memory;
    - then an amount that depends on `examples` and the size of the model: some 15 seconds of
      processor time for a perceptron of 670,000 weights;
    - for "nuisance", ten trainings of a small network for each layer.

    Args:
        model: Any Keras model; hidden layers of a subclassed one after it was called on an array.
        data: Data, preferably the training set: `(x, y)` arrays, `x` alone, a `tf.data.Dataset` or
            a `keras.utils.PyDataset`.
        nuisance: `[examples]` or `[examples, ...]`, in the order of `data`: a variable about which
            the hidden layers should hold no information. Integers or bool are classes.
        layers: Names of the layers to measure, including those of nested models; by default all of
            the model's own layers between input and output, except those that pass their input
            through, and the output for its effective information.
        parts: Additional parts of your own; see `keras_infobottleneck.auditing.AuditPart`.
        include: Names of the parts to measure; by default all.
        examples: Largest number of examples for a part, such as `{"fisher": 5000}`; a dry run
            shows the numbers for the others.
        num_examples: Number N of examples in the training set, if `data` is only a part of it; an
            `InformationBottleneckModel` knows its own. The price of a nat in the weights is 1/N.
        likelihood: As in `fisher_information`; by default read from the compiled loss.
        seed: Seed of the sample and of everything drawn.
        dry_run: Prints and returns what would be measured on how many examples, and estimates of
            the seconds and bytes of each part, from trials on a few of them.
        verbose: 1 for a Keras progress bar over parts and layers.

    Returns:
        An `InformationReport`: `print(report.table())`, `report.to_html("report.html")`.

    Raises:
        ValueError, TypeError: An argument cannot be used; raised before any work.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
        y = (x[:, 0] > 0).astype(int)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        report = kib.audit(model, (x, y), include=["task"])
        print(report.task.num_examples)
        ```

        ```text
        100
        ```
    """
    check_model("model", model)
    known = _checked_parts(parts)
    include = _checked_include(include, known)
    counts = _checked_counts(examples, known)
    seed = check_count("seed", seed, 0)
    check_flag("dry_run", dry_run)
    check_verbose("verbose", verbose)
    check_count("num_examples", num_examples, optional=True)
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
        subject = Subject.of(model, layers, nuisance is not None, likelihood)
        plan = AuditPlan.of(subject, known, include, counts)

        def exam_of(sample: Sample, counts: Mapping[str, int]) -> Examination:
            return Examination(
                model=model,
                sample=sample,
                counts=counts,
                num_examples=num_examples or sample.num_examples,
                nuisance=nuisance,
                likelihood=likelihood,
                seed=seed,
                omissions=list(plan.omissions),
            )

        if dry_run:
            available = batches.num_examples or max(counts.values())
            tried = first_examples(batches, 2 * NUM_TRIED, available)
            available = available if tried.size == 2 * NUM_TRIED else tried.size
            plan = with_costs(plan, subject, known, available, tried, exam_of)
            print(plan)
            return plan
        sample = draw_sample(batches, max(counts.values()), seed)
        if nuisance is not None:
            nuisance = _checked_nuisance(nuisance, sample.num_examples)
        exam = exam_of(sample, plan.examples)
        measure(exam, plan, known, verbose)
        return InformationReport.of(
            exam.results,
            model_name=model.name,
            num_weights=plan.num_weights,
            num_examples=exam.num_examples,
            examples={part: exam.examples(part).size for part in plan.examples},
            seed=seed,
            layers={name: LayerInformation.of(found) for name, found in exam.layers.items()},
            omissions=tuple(exam.omissions),
            parts=known,
        )


def _checked_parts(parts: Sequence[AuditPart]) -> tuple[AuditPart, ...]:
    """The registered parts and the given ones.

    Raises:
        TypeError: Something is not a part.
        ValueError: A name is missing or already in use.
    """
    if not isinstance(parts, Sequence) or not all(isinstance(each, AuditPart) for each in parts):
        raise TypeError(
            f"`parts` must be a sequence of AuditPart objects. Received: parts={described(parts)}"
        )
    taken = {part.name for part in PARTS} | {field.name for field in fields(InformationReport)}
    measures = {measure.name for part in PARTS for measure in part.measures}
    for part in parts:
        name, own = getattr(part, "name", None), {measure.name for measure in part.measures}
        if not isinstance(name, str) or not name or name in taken or own & measures:
            raise ValueError(
                "`parts` must have names, and measures with names, that no other part has. "
                f"Received: a part named {name!r} with measures {sorted(own)}"
            )
        taken.add(name)
        measures |= own
    return (*PARTS, *parts)


def _checked_include(
    include: Collection[str] | None, known: Sequence[AuditPart]
) -> Collection[str]:
    """The names of the requested parts."""
    names = tuple(part.name for part in known)
    return names if include is None else check_names("include", include, names, "parts")


def _checked_counts(
    examples: Mapping[str, int] | None, known: Sequence[AuditPart]
) -> dict[str, int]:
    """The number of examples of each part."""
    default = {part.name: part.examples for part in known if part.examples is not None}
    expected = "a mapping from parts to numbers of examples"
    check_instance("examples", examples, Mapping, expected, optional=True)
    if examples:
        check_names("examples", list(examples), default, "parts")
    for part, count in (examples or {}).items():
        check_count(f"examples[{part!r}]", count, 2)
    return {**default, **(examples or {})}


def _checked_nuisance(nuisance: Any, count: int | None) -> np.ndarray:
    """Numbers, one for each example of the data if their count is known."""
    given, shape = nuisance, "[examples, ...]"
    nuisance = check_numbers("nuisance", nuisance, shape, booleans=True, dtype=None)
    if count is not None and len(nuisance) != count:
        expected = f"have one entry for each of the {count} examples of `data`"
        raise refusal(ValueError, "nuisance", expected, given)
    if np.all(nuisance == nuisance[:1]):
        raise refusal(ValueError, "nuisance", "vary", given)
    return nuisance
