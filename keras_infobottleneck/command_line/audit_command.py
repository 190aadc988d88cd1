"""`kib audit`: a report on a saved model, as a table, a page and JSON."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from absl import flags

from keras_infobottleneck.arguments import check_choice, check_file, check_names
from keras_infobottleneck.auditing import InformationReport, Subject, audit
from keras_infobottleneck.auditing.registration import PARTS
from keras_infobottleneck.command_line.command import Command, value_of
from keras_infobottleneck.command_line.files_read import (
    define_data_flags,
    define_model_flags,
    read_array,
    read_data,
    read_model,
)
from keras_infobottleneck.command_line.progress import define_progress_flag, progress

__all__ = ["AUDIT"]

NOTHING_MEASURED = 1
NAMES = tuple(part.name for part in PARTS)
LIKELIHOODS = {
    "categorical": "logits of classes",
    "categorical_probabilities": "classes after a softmax",
    "bernoulli": "logits of bits",
    "bernoulli_probabilities": "bits after a sigmoid",
    "normal": "numbers, as in regression",
}
IN_WORDS = ", ".join(f"{name} ({of})" for name, of in LIKELIHOODS.items())


def _define_flags(values: flags.FlagValues) -> None:
    define_data_flags(values)
    define_model_flags(values)
    define_progress_flag(values)
    parts = ", ".join(NAMES)
    for name, text in (
        ("html", "Write the report to this file, as one self-contained page."),
        ("json", "Write the report to this file, as JSON; `compare` and --baseline read it."),
        (
            "baseline",
            "Another model, which is audited alike, or the .json of an earlier audit: its numbers "
            "stand beside those of MODEL.",
        ),
        ("nuisance", "Name of an array in the data, of something the layers should not tell."),
        (
            "likelihood",
            f"What the outputs are: {IN_WORDS}. Needed where the model was saved without a "
            "compiled loss that says it.",
        ),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    flags.DEFINE_list("include", None, f"Parts to measure, of {parts}.", flag_values=values)
    flags.DEFINE_list("layers", None, "Names of the layers to measure.", flag_values=values)
    flags.DEFINE_list(
        "examples", [], "How many examples a part takes, as in fisher=5000.", flag_values=values
    )
    flags.DEFINE_integer(
        "num_examples",
        None,
        "N, where the data are a part of the training set.",
        flag_values=values,
    )
    flags.DEFINE_integer("seed", 0, "Seed of the sample and of what is drawn.", flag_values=values)
    flags.DEFINE_bool(
        "dry_run", False, "Say what would be measured, and at which cost.", flag_values=values
    )


def _run(arguments: Sequence[str], values: flags.FlagValues) -> int | None:
    written = {name: value_of(values, name) for name in ("html", "json")}
    for name, path in written.items():
        check_file(f"--{name}", path, optional=True)
    options = _options(values)
    model, data = read_model(arguments[0], values), read_data(values)
    _check_likelihood(model, options)
    nuisance = value_of(values, "nuisance")
    options["nuisance"] = None if nuisance is None else read_array(values, nuisance)
    if value_of(values, "dry_run"):
        with contextlib.redirect_stdout(io.StringIO()):  # as it is printed for Python
            plan = audit(model, data, dry_run=True, **options)
        print(AUDIT.in_flags(str(plan)))
        return None
    before: Any = None
    baseline, other = value_of(values, "baseline"), None
    if baseline is not None and baseline.endswith(".json"):
        before = InformationReport.from_json(baseline)
    elif baseline is not None:
        other = read_model(baseline, values)
        _check_likelihood(other, options)
    with progress(values) as verbose:
        if other is not None:
            before = audit(other, data, verbose=verbose, **options)
        report: Any = audit(model, data, verbose=verbose, **options)
    if written["json"] is not None:
        report.to_json(written["json"])
    if written["html"] is not None:
        report.to_html(written["html"], baseline=before)
    if any(written.values()):
        lines = [report.title, *(f"  {each}" for each in report.in_short())]
        print(AUDIT.in_flags("\n".join(lines)))
        print("wrote " + " and ".join(path for path in written.values() if path))
    else:
        print(AUDIT.in_flags(report.table(baseline=before)))
    if report.readings:
        return None
    print("kib audit: nothing that was asked for could be measured", file=sys.stderr)
    return NOTHING_MEASURED


def _options(values: flags.FlagValues) -> dict[str, Any]:
    """Arguments of `audit` from the flags, checked before any file is read."""
    names = ("include", "layers", "likelihood", "num_examples", "seed")
    options = {name: value_of(values, name) for name in names}
    options["examples"] = _counts(value_of(values, "examples"))
    if options["include"] is not None:
        check_names("--include", options["include"], NAMES, "parts")
    if options["examples"]:
        takers = [part.name for part in PARTS if part.examples is not None]
        check_names("--examples", list(options["examples"]), takers, "parts")
    if options["likelihood"] is not None:
        check_choice("--likelihood", options["likelihood"], LIKELIHOODS)
    return options


def _check_likelihood(model: keras.Model, options: Mapping[str, Any]) -> None:
    """Refuses parts that need a likelihood if neither the model nor a flag gives one.

    Without them hardly anything would be measured, which the user did not ask for.
    """
    subject = Subject(model, likelihood=options["likelihood"])
    reason = subject.reason_without_likelihood or ""
    chosen = [part for part in PARTS if part.name in (options["include"] or NAMES)]
    missing = [part.name for part in chosen if reason and part.reason_to_omit(subject) == reason]
    if missing:
        others = ",".join(part.name for part in PARTS if part.reason_to_omit(subject) is None)
        told = f"give --likelihood=..., one of {IN_WORDS}"
        if len(keras.tree.flatten(getattr(model, "outputs", None) or [])) > 1:
            told = "of several outputs a function says it, which kib.audit takes in Python"
        raise ValueError(
            f"the parts {', '.join(missing)} need to know what the outputs are, which MODEL does "
            f"not say; {told}, or choose parts that do without by --include={others}. "
            f"Received: {reason.partition('Received: ')[2]}"
        )


def _counts(pairs: Sequence[str]) -> Mapping[str, int]:
    """Number of examples for each part."""
    found = {}
    for pair in pairs:
        part, equals, count = pair.partition("=")
        if not equals or not count.isdigit():
            raise ValueError(
                f"`--examples` must be of the form part=number. Received: --examples={pair!r}"
            )
        found[part] = int(count)
    return found


AUDIT = Command(
    name="audit",
    arguments=("MODEL.keras",),
    summary="Measures what a saved model knows of its training data.",
    description="""
        Give it the data that the model was trained on. Every number stands in the report with its
        unit, its error, what to compare it with, and how it misleads; what cannot be measured is
        named with the reason. Without --html and --json the whole table is printed.

        A model that was saved without a compiled loss needs --likelihood. The exit code is 0 for a
        report with numbers, 1 where nothing that was asked for could be measured, and 2 where the
        arguments could not be used.

        Example: kib audit model.keras --data=train.npz --html=report.html
    """,
    define_flags=_define_flags,
    run=_run,
    needed=("data",),
    called={"model": "MODEL"},
)
