"""What results say of themselves: spectrum, determinant, errors, files, merging."""

import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    Estimate,
    FisherInformation,
    fisher_information,
    information_in_weights,
)
from tests.support import reference_fisher as reference
from tests.support.small_classifiers import (
    IMAGES,
    LOGITS,
    POINTS,
    classifier,
    dense_classifier,
    diagonal,
)


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense", "gram", "implicit"])
def test_results_of_disjoint_data_add_up(structure):
    x, y = IMAGES
    model = classifier()
    options = {"structure": structure, "labels": "empirical", "likelihood": "categorical"}
    whole = fisher_information(model, IMAGES, **options)
    parts = [fisher_information(model, (x[s], y[s]), **options) for s in (slice(4), slice(4, 11))]
    merged = parts[0] + parts[1]
    assert merged.num_examples == 11
    assert reference.relative_error(diagonal(merged), diagonal(whole)) < 1e-5
    vector = whole.layout.split(np.random.default_rng(1).normal(size=whole.size))
    product = reference.flat(merged.matvec(vector))
    # Kronecker factors of a union are the means of the parts'.
    assert reference.relative_error(product, reference.flat(whole.matvec(vector))) < 1e-5


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense", "gram"])
def test_files_give_the_result_back(structure, tmp_path):
    result = fisher_information(classifier(), IMAGES, structure=structure, **LOGITS)
    result.to_npz(tmp_path / "fisher.npz")
    again = FisherInformation.from_npz(tmp_path / "fisher.npz")
    assert again.structure == structure
    assert again.variables == result.variables
    assert again.num_examples == 11
    np.testing.assert_array_equal(diagonal(again), diagonal(result))
    assert again.logdet(0.1) == pytest.approx(result.logdet(0.1))
    assert again.to_dict() == result.to_dict()


def test_a_file_is_found_by_the_name_it_was_given(tmp_path):
    result = fisher_information(dense_classifier(), POINTS, **LOGITS)
    result.to_npz(tmp_path / "fisher")
    for name in ("fisher", "fisher.npz"):
        assert FisherInformation.from_npz(tmp_path / name).to_dict() == result.to_dict()


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense", "gram"])
def test_spectrum_trace_and_determinant_belong_together(structure):
    result = fisher_information(classifier(), IMAGES, structure=structure, **LOGITS)
    values = result.eigenvalues().astype(np.float64)
    assert len(values) == result.size
    assert np.all(np.diff(values) <= 0)
    assert values.sum() == pytest.approx(result.trace(), rel=1e-5)
    assert np.log(values + 0.01).sum() == pytest.approx(result.logdet(0.01), rel=1e-5)
    table = result.by_variable()
    assert sum(row["trace"] for row in table.values()) == pytest.approx(result.trace(), rel=1e-5)
    assert sum(row["size"] for row in table.values()) == result.size


@pytest.mark.slow
def test_lanczos_determinant_is_within_its_error_and_one_percent():
    dense = fisher_information(classifier(), IMAGES, structure="dense", **LOGITS)
    implicit = fisher_information(classifier(), IMAGES, structure="implicit", **LOGITS)
    exact = dense.logdet(0.05)
    estimate = implicit.logdet(0.05, num_probes=48, num_steps=16, seed=1)
    assert estimate.agrees_with(exact, standard_errors=2)
    assert estimate == pytest.approx(exact, rel=1e-2)
    np.testing.assert_allclose(implicit.eigenvalues(3), dense.eigenvalues(3), rtol=1e-3)
    for method in ("xtrace", "hutchinson"):
        trace = implicit.trace(method=method, num_probes=12)
        assert trace.agrees_with(float(dense.trace()), standard_errors=4)
    assert implicit.trace(method="xtrace").standard_error < trace.standard_error


def test_error_of_a_sampled_trace_covers_the_expected_trace():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4)).astype(np.float32)
    model = dense_classifier()
    exact = float(fisher_information(model, x, **LOGITS).trace())
    for structure in ("diagonal", "kronecker", "dense", "gram"):
        options = {"structure": structure, "likelihood": "categorical", "seed": 3}
        trace = fisher_information(model, x, **options).trace()
        if structure == "kronecker":
            target = fisher_information(model, x, structure="kronecker", **LOGITS).trace()
            assert trace.agrees_with(float(target)), structure
        else:
            assert trace.agrees_with(exact), structure
        assert 0 < trace.standard_error < exact


def test_the_error_of_labels_drawn_for_one_example_is_not_known():
    model, x = dense_classifier(), POINTS[0]
    one = fisher_information(model, x[:1], likelihood="categorical", seed=0)
    rest = fisher_information(model, x[1:], likelihood="categorical", seed=1)
    assert np.isnan(one.trace().standard_error)
    assert np.isfinite((one + rest).standard_error)  # eleven examples show a spread
    assert np.isnan(information_in_weights(model, one, beta=0.1).standard_error)
    assert fisher_information(model, x[:1], **LOGITS).standard_error == 0.0


def test_an_estimate_is_a_float_with_an_error():
    estimate = Estimate(2.0, 0.5)
    assert estimate + 1 == 3.0
    assert not isinstance(estimate + 1, Estimate)
    assert estimate.agrees_with(3.9)
    assert not estimate.agrees_with(4.1)
    assert repr(estimate) == "2 ± 0.5"
