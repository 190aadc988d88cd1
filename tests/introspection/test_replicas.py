"""On the replicas of a strategy, in its scope and outside, everything is what one device gives."""

import inspect
import json

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from tests.support import forked_scripts

# Passes that all replicas share, and a training whose steps they share.
SHARED = ("fisher diagonal sampled", "certificate, noise", "samples", "machine, one epoch")
MORE = ("fisher kronecker sampled", "hessian", "states", "belief network")


def measured(count, names=(), places="everywhere"):
    """The numbers by name and by how they came about; two strategies in one process would die."""
    done = forked_scripts.run("tests.support.measured_on_replicas", str(count), places, *names)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check_equal(found):
    """Everywhere the numbers of one device."""
    for name, by_place in found.items():
        alone = np.array(by_place.pop("alone"))
        assert np.isfinite(alone).any(), name
        for place, values in by_place.items():
            scale = 1e-6 * np.nanmax(np.abs(alone))
            message = f"{name}: {place}"
            np.testing.assert_allclose(values, alone, rtol=1e-6, atol=scale, err_msg=message)


def test_two_replicas_share_passes_and_steps_and_find_what_one_finds():
    check_equal(measured(2, SHARED, places="inside"))


@pytest.mark.slow
def test_everything_is_the_same_in_the_scope_of_two_replicas():
    check_equal(measured(2, places="inside"))


@pytest.mark.slow
def test_inside_and_outside_of_the_scope_are_the_same():
    check_equal(measured(2, SHARED))


@pytest.mark.slow
def test_four_replicas_find_what_one_finds():
    check_equal(measured(4, (*SHARED, *MORE), places="inside"))


def test_whatever_measures_or_trains_a_model_leaves_the_scope():
    measuring = [getattr(kib.estimators, name) for name in kib.estimators.__all__]
    measuring += [kib.audit, kib.compress, kib.forget, kib.models.recalibrate_batch_normalization]
    signatures = {each: inspect.signature(each) for each in measuring if inspect.isfunction(each)}
    of_models = [
        function
        for function, signature in signatures.items()
        # What copies a model does so into the scope that it is called in.
        if {"model", "build", "epochs"} & signature.parameters.keys()
        and signature.return_annotation not in ("keras.Model", keras.Model)
    ]
    assert len(of_models) > 10
    assert {kib.estimators.mutual_information, kib.estimators.prequential_code} <= {*of_models}
    assert [each.__name__ for each in of_models if not hasattr(each, "__wrapped__")] == []


def test_a_strategy_is_one():
    with pytest.raises(TypeError, match=r"`strategy` must be a tf\.distribute\.Strategy"):
        kib.estimators.fisher_information(None, None, strategy="mirrored")
