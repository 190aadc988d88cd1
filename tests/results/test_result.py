"""What every result can be asked: numbers, a dictionary, a line, a table."""

import importlib
import inspect
import json
import pkgutil
import sys
import types
import typing

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck import estimators
from keras_infobottleneck.results.result import MAX_ROWS, Result

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype("float32")
Y = np.arange(40) % 3
LOGITS = {"labels": "expected", "likelihood": "categorical"}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def results():
    """Name to a result, of every kind that the package gives without long training."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.Dense(5, name="logits"),
        ]
    )
    model.compile(loss=LOSS)
    found = {}
    for structure in ("diagonal", "kronecker", "dense", "gram", "implicit"):
        options = {"structure": structure, **LOGITS}
        found[structure] = estimators.fisher_information(model, X, **options)
    found["memory"] = estimators.fisher_information(model, X, dry_run=True, **LOGITS)
    found["hessian"] = estimators.hessian(model, (X, Y), likelihood="categorical")
    fisher = found["diagonal"]
    found["weights"] = estimators.information_in_weights(model, fisher, beta=0.1)
    found["curve"] = estimators.information_curve(model, fisher, loss=1.0)
    few = {"num_chains": 2, "num_draws": 4, "num_steps": 1, "fisher": fisher}
    found["learning"] = estimators.local_learning_coefficient(
        model, (X, Y), likelihood="categorical", seed=0, **few
    )
    options = {"fisher": fisher, "likelihood": "categorical"}
    found["unique"] = estimators.unique_information(model, (X, Y), beta=0.1, **options)
    found["influence"] = estimators.posterior_influence(model, (X, Y), **options)
    found["wrong labels"] = estimators.find_wrong_labels(model, (X, Y), **options)
    found["effective"] = estimators.effective_information(
        model, X, layer="hidden", fisher=fisher, beta=0.1
    )
    states = X > 0
    found["counts"] = estimators.StateCounts().update(states)
    found["point"] = estimators.resolution_relevance(states)
    found["null"] = estimators.relevance_null(states, seed=0)
    found["hull"] = estimators.maximum_relevance_curve(40)
    found["multiscale"] = estimators.layer_multiscale_relevance(X, seed=0)
    found["zipf"] = estimators.zipf_exponent(np.array([1, 1, 1, 2, 3, 9]))
    found["slope"] = estimators.relevance_slope(np.arange(9.0), -np.arange(9.0))
    found["correlation"] = estimators.total_correlation(X, seed=0)
    found["complexity"] = estimators.quantized_complexity(model)
    found["ratio"] = found["complexity"].against_shuffled
    found["compression"] = estimators.weight_compression(model)
    p = np.full((3, 40, 2), 0.5)
    found["uncertainty"] = kib.decompose_uncertainty(p)
    joint = RNG.dirichlet(np.ones(16)).reshape(2, 2, 2, 2)
    found["decomposition"] = estimators.cross_entropy_decomposition(joint, np.full((2, 2, 2), 0.5))
    found["bounds"] = estimators.activation_information_bounds(0.1, [4, 5])
    found["probe"] = estimators.mdl_probe(X, Y, blocks=3, num_steps=5)
    found["code"] = found["probe"].code
    found["report"] = kib.audit(model, (X, Y), include=("task", "fisher", "weights"))
    found["layer"] = kib.audit(model, (X, Y), include=("relevance",)).layers["hidden"]
    return found


# Values for the fields of results that no short measurement gives.
MADE_UP = {
    float: 0.5,
    int: 3,
    estimators.Estimate: estimators.Estimate(2.0, 0.1),
    str: "method",
    np.ndarray: np.linspace(0.1, 0.4, 4),
    dict[str, float]: {"dense/kernel": 0.5},
    dict[str, int]: {"dense/kernel": 3},
    tuple[str, ...]: ("dense/kernel",),
}


def subclasses(kind):
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def made_up():
    """Name of a class to a result, for every kind that `results` does not have."""
    for module in pkgutil.walk_packages(kib.__path__, "keras_infobottleneck."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {}
    bases = {Result, *(base for kind in subclasses(Result) for base in kind.__mro__[1:])}
    measured = {type(result) for result in MEASURED.values()}
    for kind in sorted(subclasses(Result) - measured - bases, key=lambda kind: kind.__name__):
        if inspect.isabstract(kind) or not kind.__module__.startswith("keras_infobottleneck"):
            continue
        hints = typing.get_type_hints(kind)
        fields = {}
        for name in kind.__dataclass_fields__:
            whole = hints[name]
            of = whole if whole in MADE_UP else (typing.get_args(whole) or (whole,))[0]
            fields[name] = MADE_UP[of]  # of other kinds, `results` should have a measured one
        found[kind.__name__] = kind(**fields)
    return found


MEASURED = results()
RESULTS = {**MEASURED, **made_up()}
# What a log shows first, and is worth a name of its own.
HEADLINES = {
    "diagonal": "trace",
    "hessian": "trace",
    "memory": "total_bytes",
    "weights": "nats",
    "curve": "nats",
    "effective": "nats",
    "counts": "num_states",
    "point": "resolution",
    "hull": "relevance",
    "multiscale": "area",
    "zipf": "mu",
    "slope": "optimum",
    "correlation": "nats",
    "complexity": "total_bits",
    "uncertainty": "total",
    "decomposition": "cross_entropy",
    "bounds": "network",
    "probe": "nats",
    "code": "nats",
    "report": "loss",
}


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_has_numbers_a_dictionary_and_a_line(name):
    result = RESULTS[name]
    assert isinstance(result, Result)
    numbers = result.numbers()
    assert numbers
    assert all(type(key) is str and type(value) is float for key, value in numbers.items())
    again = json.loads(json.dumps(result.to_dict()))
    assert again.keys() == result.to_dict().keys()
    assert len(repr(result).splitlines()) <= 12
    assert len(repr(result)) < 600
    page = result._repr_html_()
    assert page.startswith("<")
    assert page.count("<tr") <= MAX_ROWS + 1


def test_results_that_need_long_training_are_among_them():
    assert {"BetaSweep", "Certificate", "NuisanceInformation", "Pruning"} <= RESULTS.keys()


@pytest.mark.parametrize("name", HEADLINES)
def test_the_most_important_number_comes_first(name):
    assert next(iter(RESULTS[name].numbers())) == HEADLINES[name]


def test_numbers_are_those_of_the_result():
    fisher, report = RESULTS["dense"], RESULTS["report"]
    assert fisher.numbers()["trace"] == pytest.approx(np.trace(fisher.matrix))
    assert (fisher.numbers()["num_examples"], fisher.numbers()["size"]) == (40, 101)
    numbers = report.numbers()
    assert numbers["loss"] == report.task.loss
    for path, row in report.fisher.by_variable().items():
        assert numbers[f"fisher_trace/{path}"] == row["trace"]
    curve = RESULTS["curve"]
    point = list(curve.beta).index(curve.numbers()["beta"])
    assert curve.numbers()["beta"] == pytest.approx(1 / 40, rel=0.3)
    assert curve.numbers()["nats"] == curve.nats[point]
    assert RESULTS["uncertainty"].numbers()["total"] == pytest.approx(np.log(2))
    assert RESULTS["counts"].to_dict()["counts"] == sorted(RESULTS["counts"].counts)[::-1]


def test_hessians_of_disjoint_data_add_up():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    parts = [(X[:15], Y[:15]), (X[15:], Y[15:])]
    one, two = (estimators.hessian(model, part, likelihood="categorical") for part in parts)
    whole = estimators.hessian(model, (X, Y), likelihood="categorical")
    merged = one + two
    assert merged.num_examples == 40
    vector = whole.layout.split(RNG.normal(size=whole.size).astype("float32"))
    for mine, its in zip(merged.matvec(vector), whole.matvec(vector), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"same variables add up\. Received: "):
        one + RESULTS["hessian"]


def test_parts_add_up_with_sum_where_they_add_up():
    parts = [estimators.StateCounts(2).update(states) for states in ([[0, 1]], [[1, 1]])]
    assert sum(parts).num_samples == 2
    assert sum(parts[:1]).num_samples == 1
    with pytest.raises(TypeError, match="unsupported operand"):
        1 + parts[0]
    with pytest.raises(TypeError, match="unsupported operand"):
        0 + estimators.resolution_relevance_of_counts([1, 2])


def test_a_table_is_made_by_pandas_or_refused_in_a_sentence(monkeypatch):
    pandas = types.ModuleType("pandas")
    pandas.DataFrame = lambda columns: columns
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    for name, result in RESULTS.items():
        columns = result.to_dataframe()
        assert len({len(column) for column in columns.values()}) == 1, name
    assert RESULTS["diagonal"].to_dataframe()["variable"] == list(RESULTS["diagonal"].variables)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"^`to_dataframe` needs pandas .*Received: "):
        RESULTS["diagonal"].to_dataframe()


def test_a_long_table_is_cut_in_a_notebook():
    page = RESULTS["uncertainty"]._repr_html_()
    assert page.count("<tr>") == MAX_ROWS + 1
    assert page.endswith("<p>and 20 more</p>")
