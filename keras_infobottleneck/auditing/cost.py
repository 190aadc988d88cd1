"""What an audit will cost, foretold from the same measurements on a few examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.measuring import measure
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.plan import AuditPlan, Cost
from keras_infobottleneck.auditing.subject import Subject
from keras_infobottleneck.data.sample import Sample

__all__ = ["trial_sizes", "with_costs"]

# The smaller trial takes this share of a part's examples, the larger one three times as many.
SHARE = 1 / 60


def trial_sizes(
    plan: AuditPlan, parts: Sequence[AuditPart], available: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Part to the examples of the smaller and of the larger trial.

    They differ from those of the audit, whose passes are compiled for its own number of examples.
    """
    least = {part.name: part.least_examples(plan.taken.get(part.name, ())) for part in parts}
    small, large = {}, {}
    for name, count in plan.examples.items():
        most = max(2, min(count, available) - 1)
        small[name] = min(max(least.get(name, 2), int(count * SHARE)), most)
        large[name] = min(3 * small[name], most)
    return small, large


def with_costs(
    plan: AuditPlan,
    subject: Subject,
    parts: Sequence[AuditPart],
    available: int,
    sample: Sample,
    exam_of: Callable[[Mapping[str, int]], Examination],
) -> AuditPlan:
    """The plan with the seconds and bytes that each part will take.

    Each part runs twice on a few examples and twice on three times as many. What the first run
    takes longer than the second is compilation, which comes once; the rest is a straight line.

    Args:
        plan: of the audit.
        subject: of the audit.
        parts: of the report.
        available: how many examples there are, as far as it is known.
        sample: the examples of the trials.
        exam_of: from part to number of examples to an examination of that many.
    """
    parts = [part for part in parts if part.name in plan]
    seconds = {part.name: part.seconds_without_trial(plan.num_weights) for part in parts}
    tried = [part for part in parts if seconds[part.name] is None]
    sizes = trial_sizes(plan, parts, available)
    runs = [[measure(exam_of(counts), plan, tried) for _ in range(2)] for counts in sizes]
    for part in tried:
        first, second = zip(*[[run[part.name] for run in twice] for twice in runs], strict=True)
        compiled = max(0.0, min(a - b for a, b in zip(first, second, strict=True)))
        seconds[part.name] = compiled + second[1]
        takes = part.name if part.examples else next(iter(part.shares(subject)), None)
        if takes is not None:
            small, large = (size[takes] for size in sizes)
            slope = max(second[1] - second[0], 0.0) / (large - small) if large > small else 0.0
            more = min(plan.examples[takes], available) - large
            seconds[part.name] += slope * max(more, 0)
    costs = {}
    for part in parts:
        count = min(plan.examples.get(part.name, 0), available)
        num_bytes = part.num_bytes(plan.num_weights, plan.taken.get(part.name, ()), count)
        costs[part.name] = Cost(seconds[part.name], num_bytes)
    leaves = keras.tree.flatten((sample.x, sample.y))
    example = sum(np.asarray(leaf).nbytes for leaf in leaves) / sample.size
    held = int(example) * min(max(plan.examples.values(), default=0), available)
    return dataclasses.replace(plan, costs=costs, sample_bytes=held)
