"""Every public name refuses what it cannot use: the kind of the error, and one clear sentence.

The tables hold every argument of every public function, constructor and method; data, which are
read by one reader, have tests of their own. What is new and not in a table fails here.
"""

import functools
import inspect

import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.results.result import Result
from tests.support.bad_calls.bad_values import Mute
from tests.support.bad_calls.of_examples import example_table
from tests.support.bad_calls.of_layers import layer_table
from tests.support.bad_calls.of_matrices import matrix_table
from tests.support.bad_calls.of_networks import network_table
from tests.support.bad_calls.of_numbers import number_table
from tests.support.bad_calls.of_plots import plot_table
from tests.support.bad_calls.of_states import state_table
from tests.support.bad_calls.things import things

# Data, and what Keras checks itself.
# Classes that classes of one's own are derived from.
BASES = {"DirectGradient", "KernelRule", "LayerRule", "NoisyLayer"}
ELSEWHERE = {
    "data",
    "validation_data",
    "test_data",
    "forget",
    "retain",
    "unseen",
    "x",
    "outputs",
    "kwargs",
    "options",
    "fisher_options",
    "reduction",
    "dtype",
    "strategy",
}
TABLES = (
    network_table,
    example_table,
    number_table,
    state_table,
    matrix_table,
    layer_table,
    plot_table,
)


@functools.cache
def everything():
    """Name to (callable, good arguments, argument to bad values)."""
    return {name: row for table in TABLES for name, row in table().items()}


def refusal_of(function, good, argument, value):
    """What a call with one bad value raises, None where it is taken."""
    try:
        function(**{**good, argument: value})
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_bad_value_is_refused_in_one_sentence(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong, num_calls = [], 0
    for name, (function, good, bad) in table().items():
        for argument, cases in bad.items():
            for value, kind in cases:
                num_calls += 1
                error = refusal_of(function, good, argument, value)
                sentence = str(error)
                is_clear = "Received: " in sentence and "\n" not in sentence and len(sentence) < 400
                # An assignment is told by the name of the attribute.
                known_as = name.split(".")[-1] if argument == "value" else argument
                if type(error) is not kind or not is_clear or f"`{known_as}" not in sentence:
                    shown = type(value).__name__ if isinstance(value, Mute) else repr(value)[:60]
                    wrong.append(f"{name}({argument}={shown}): {type(error).__name__} {sentence}")
    assert not wrong, f"{len(wrong)} of {num_calls}:\n" + "\n".join(each[:300] for each in wrong)
    assert num_calls > 100


def test_an_unexpected_keyword_names_the_function_that_was_called():
    t = things()
    for name in ("information_in_weights", "information_curve"):
        with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword .*'colour'$"):
            getattr(kib.estimators, name)(t.net, t.data, colour="red", **{"beta": 0.1})
    with pytest.raises(TypeError, match=r"^make_variational\(\) got an unexpected .*'colour'$"):
        kib.make_variational(t.net, num_examples=3, colour="red")


def public_callables():
    """Functions and classes by name, of all public places."""
    for place in (kib, kib.estimators, kib.layers, kib.models, kib.callbacks, kib.plots):
        for name in place.__all__:
            value = getattr(place, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield name, value


def test_nothing_public_is_missing_from_the_table():
    tested: dict[str, set] = {}
    for name, (_, _, bad) in everything().items():
        tested.setdefault(name.split(",")[0], set()).update(bad)
    missing = {}
    for name, value in public_callables():
        is_result = inspect.isclass(value) and issubclass(value, Result | kib.estimators.Estimate)
        if is_result or name in BASES:  # results are made by estimators
            continue
        arguments = set(inspect.signature(value).parameters) - ELSEWHERE
        if name not in tested or not arguments <= tested[name]:
            missing[name] = arguments - tested.get(name, set())
    assert not missing, "\n".join(f"{name}: {sorted(names)}" for name, names in missing.items())
