"""A sixth structure is one new class and one registration: here the trace of each variable."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import Estimate, FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher import information
from keras_infobottleneck.estimators.fisher.structures.diagonal import square_sums
from keras_infobottleneck.linear_algebra.spectrum import ExactSpectrum, SpectrumPart
from tests.support.small_classifiers import IMAGES, LOGITS, classifier


@dataclass(frozen=True, repr=False)
class TraceFisher(FisherInformation):
    """One number for each variable: its trace, spread evenly over its weights."""

    traces: np.ndarray

    structure = "trace"
    cheaper_than = ("dense", "gram", "kronecker", "diagonal")

    @classmethod
    def bytes_needed(cls, measurement):
        return 8 * len(measurement.variables), measurement.vector_bytes

    @classmethod
    def measured(cls, measurement):
        def of_scores(scores):
            squares, norms = square_sums(scores)
            traces = tf.stack([tf.reduce_sum(s) for s in squares])
            return traces, tf.reduce_sum(norms), tf.reduce_sum(norms**2)

        traces, norm, norm_squared = measurement.summed("trace", of_scores)
        error = measurement.error(norm, norm_squared)
        return cls(traces=measurement.mean(traces), standard_error=error, **measurement.fields())

    def diagonal(self):
        pairs = zip(self.traces, self.layout.shapes, strict=True)
        return [np.full(shape, trace / np.prod(shape)) for trace, shape in pairs]

    def matvec(self, tensors):
        return [d * t for d, t in zip(self.diagonal(), tensors, strict=True)]

    def logdet(self, shift):
        return Estimate(sum(float(np.log(d + shift).sum()) for d in self.diagonal()))

    def eigenvalues(self, count=None):
        return np.sort(self.layout.join(self.diagonal()))[::-1][:count]

    def spectrum(self, **_):
        parts = [SpectrumPart(d.reshape(-1), {i: 1.0}) for i, d in enumerate(self.diagonal())]
        return ExactSpectrum(len(parts), parts)

    def power_product(self, rows, exponent, shift=0.0):
        return rows * (self.layout.join(self.diagonal()) + shift) ** exponent

    def _merged(self, other, num_examples):
        a, b = self.num_examples / num_examples, other.num_examples / num_examples
        traces, error = a * self.traces + b * other.traces, self._merged_error(other)
        return TraceFisher(
            self.layout, self.labels, num_examples, traces=traces, standard_error=error
        )

    def _arrays(self):
        return {"traces": self.traces}

    @classmethod
    def _from_archive(cls, fields, archive):
        traces = archive.array("traces", (len(fields["layout"].paths),), least=0)
        return cls(traces=traces, **fields)


@pytest.fixture(autouse=True)
def registered():
    information.register_structure(TraceFisher)
    yield
    del information.STRUCTURES["trace"]


def test_it_is_measured_like_the_others():
    model = classifier()
    exact = fisher_information(model, IMAGES, **LOGITS)
    result = fisher_information(model, IMAGES, structure="trace", **LOGITS)
    assert isinstance(result, TraceFisher)
    assert result.trace() == pytest.approx(exact.trace(), rel=1e-5)
    for path, row in exact.by_variable().items():
        assert result.by_variable()[path]["trace"] == pytest.approx(row["trace"], rel=1e-5)


def test_its_memory_is_planned_and_it_is_named_where_others_are_too_large(capsys):
    options = {"structure": "trace", **LOGITS}
    plan = fisher_information(classifier(), IMAGES, dry_run=True, **options)
    assert plan.structure == "trace"
    assert plan.result_bytes == 8 * 4
    assert "structure='trace'" in capsys.readouterr().out
    limit = plan.total_bytes
    for other in ("dense", "gram", "kronecker", "diagonal"):
        with pytest.raises(ValueError, match="structure='trace' needs"):
            fisher_information(classifier(), IMAGES, structure=other, memory_limit=limit, **LOGITS)
    with pytest.raises(ValueError, match="structure='trace' of"):
        fisher_information(classifier(), IMAGES, memory_limit=1, **options)


def test_its_results_merge_and_come_back_from_files(tmp_path):
    x, y = IMAGES
    options = {"structure": "trace", "labels": "empirical", "likelihood": "categorical"}
    model = classifier()
    whole = fisher_information(model, IMAGES, **options)
    parts = [fisher_information(model, (x[s], y[s]), **options) for s in (slice(4), slice(4, 11))]
    np.testing.assert_allclose((parts[0] + parts[1]).traces, whole.traces, rtol=1e-5)
    whole.to_npz(tmp_path / "trace.npz")
    again = FisherInformation.from_npz(tmp_path / "trace.npz")
    np.testing.assert_array_equal(again.traces, whole.traces)
    assert again.to_dict() == whole.to_dict()
