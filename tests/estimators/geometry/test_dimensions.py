"""Intrinsic dimension and participation ratio of points whose dimension is known."""

import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    centered_kernel_alignment,
    intrinsic_dimension,
    participation_ratio,
)


def gaussian_of_rank(rank, units, number, seed=0):
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(units, rank)))[0]
    return rng.normal(size=(number, rank)) @ directions.T


class TestIntrinsicDimension:
    @pytest.mark.parametrize("rank", [1, 2, 5])
    def test_is_the_rank_of_a_gaussian(self, rank):
        found = intrinsic_dimension(gaussian_of_rank(rank, 12, 1000), seed=0)
        assert abs(found.dimension - rank) < 4.0 * found.standard_error
        assert found.standard_error == pytest.approx(found.dimension / np.sqrt(900), rel=0.01)

    def test_is_one_on_a_curve_that_fills_a_plane(self):
        turn = np.sort(np.random.default_rng(0).uniform(1.0, 10.0, 1500))
        found = intrinsic_dimension(np.stack([turn * np.cos(turn), turn * np.sin(turn)], 1), seed=0)
        assert abs(found.dimension - 1.0) < 4.0 * found.standard_error
        assert found.shuffled > 1.5  # without the dependence it is the plane

    def test_its_error_is_the_spread_over_samples_but_for_mutual_neighbours(self):
        found = [
            intrinsic_dimension(gaussian_of_rank(2, 2, 200, seed), discard_share=0.0, seed=0)
            for seed in range(60)
        ]
        dimensions = [each.dimension for each in found]
        stated = np.mean([each.standard_error for each in found])
        assert 0.9 < np.std(dimensions, ddof=1) / stated < 1.6
        assert abs(np.mean(dimensions) - 2.0) < 4.0 * np.std(dimensions) / np.sqrt(60) + 0.05

    def test_a_censored_sample_of_the_law_itself_gives_its_exponent(self):
        from keras_infobottleneck.estimators.geometry import intrinsic_dimension as module

        rng = np.random.default_rng(0)
        values = [module._dimension(rng.exponential(1 / 7.0, 300), 0.3)[0] for _ in range(400)]
        error = np.std(values) / np.sqrt(400)
        assert abs(np.mean(values) - 7.0) < 4.0 * error  # unbiased
        assert np.std(values) == pytest.approx(7.0 / np.sqrt(208), rel=0.15)

    def test_copies_are_left_out_and_units_without_use_change_nothing(self):
        points = gaussian_of_rank(2, 3, 300)
        plain = intrinsic_dimension(points, seed=0)
        more = np.concatenate([points, points[:40]])
        more = np.concatenate([more, np.ones([340, 2])], 1)
        found = intrinsic_dimension(more, seed=0)
        assert found.num_copies == 40
        assert found.dimension == pytest.approx(plain.dimension, rel=1e-9)

    def test_few_distinct_points_are_refused(self):
        with pytest.raises(ValueError, match=r"at least 10 distinct points\. Received: z="):
            intrinsic_dimension(np.repeat(np.eye(3), 9, axis=0))


class TestParticipationRatio:
    @pytest.mark.parametrize("number", [60, 1000])
    def test_is_the_number_of_independent_units_for_few_examples_too(self, number):
        z = gaussian_of_rank(30, 50, number)
        found = participation_ratio(z)
        assert abs(found.corrected - 30.0) < 4.0 * found.standard_error
        assert found.biased == pytest.approx(1.0 / (1.0 / 30.0 + 1.0 / number), rel=0.05)

    def test_of_known_variances_is_the_ratio_of_their_sums(self):
        variances = np.array([4.0, 1.0, 0.25])
        z = np.random.default_rng(0).normal(size=(1500, 3)) * np.sqrt(variances)
        found = participation_ratio(z)
        truth = variances.sum() ** 2 / np.sum(variances**2)
        assert abs(found.corrected - truth) < 4.0 * found.standard_error

    def test_both_sums_are_unbiased_for_any_distribution(self):
        from keras_infobottleneck.estimators.geometry.centred_products import unbiased_products
        from keras_infobottleneck.estimators.geometry.participation_ratio import _squared_trace

        rng = np.random.default_rng(0)
        scale = np.array([2.0, 1.0])
        sums = []
        for _ in range(3000):  # exponential: variance 1, far from Gaussian
            z = rng.exponential(size=(6, 2)) * scale
            sums.append((unbiased_products(z, z), _squared_trace(z)))
        mean, error = np.mean(sums, 0), np.std(sums, 0) / np.sqrt(len(sums))
        assert np.all(np.abs(mean - [17.0, 25.0]) < 4.0 * error)

    @pytest.mark.parametrize(
        ("z", "sentence"),
        [(np.ones([50, 2]), "must vary"), (np.eye(30), "at least 40 examples")],
        ids=["constant", "few"],
    )
    def test_states_of_no_use_are_refused(self, z, sentence):
        with pytest.raises(ValueError, match=f"`z` {sentence}|`z` must hold {sentence}"):
            participation_ratio(z)


@pytest.mark.parametrize("kind", [bool, int], ids=["on or off", "whole numbers"])
def test_states_on_a_lattice_have_no_dimension(kind):
    z = np.random.default_rng(0).integers(0, 2, size=(80, 6)).astype(kind)
    with pytest.raises(ValueError, match=r"`z` must have a single nearest.*Received: z=.*%"):
        intrinsic_dimension(z, seed=0)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_no_measure_of_states_depends_on_their_scale_however_large(scale):
    z = np.random.default_rng(0).normal(size=(50, 3))
    other = z[:, :2] + np.random.default_rng(1).normal(size=(50, 2))
    for plain, scaled in (
        (intrinsic_dimension(z, seed=0), intrinsic_dimension(scale * z, seed=0)),
        (participation_ratio(z), participation_ratio(scale * z)),
        (
            centered_kernel_alignment(z, other, seed=0),
            centered_kernel_alignment(scale * z, other, seed=0),
        ),
    ):
        expected = pytest.approx(list(plain.numbers().values()), rel=1e-9)
        assert list(scaled.numbers().values()) == expected
