"""Mutual information against its truths, and what each method says about itself."""

import math

import numpy as np
import pytest

from keras_infobottleneck.estimators import MutualInformation, mutual_information
from keras_infobottleneck.estimators.information.mixture_densities import MixtureDensities
from keras_infobottleneck.estimators.information.mutual_information import _doubts
from keras_infobottleneck.estimators.information.nearest_neighbours import nearest_neighbour_terms
from keras_infobottleneck.estimators.information.repeated_pairs import num_repeated
from keras_infobottleneck.estimators.information.separable_critic import (
    SeparableCritic,
    infonce_terms,
    nwj_ceiling,
    nwj_terms,
    smile_terms,
)

NETWORKS = ("infonce", "nwj", "smile", "knife")


def correlated(rho, size, number, seed=0):
    """Coordinates correlated in pairs, and their information."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(number, size))
    x = rho * z + math.sqrt(1.0 - rho**2) * rng.normal(size=(number, size))
    return z, x, -0.5 * size * math.log(1.0 - rho**2)


class TestTruths:
    @pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
    def test_neighbours_find_that_of_correlated_gaussians(self, rho):
        z, x, truth = correlated(rho, 1, 2000)
        found = mutual_information(z, x, method="ksg", num_permutations=3, seed=0)
        assert abs(found.nats - truth) < 4.0 * found.standard_error
        assert abs(found.null) < 4.0 * found.standard_error
        assert math.isnan(found.train_nats)

    @pytest.mark.slow
    @pytest.mark.parametrize("method", NETWORKS)
    def test_networks_find_that_of_a_linear_gaussian_encoder(self, method):
        # z = W x + n: 1/2 log det(I + W W^T / s^2).
        rng = np.random.default_rng(1)
        x = rng.normal(size=(4000, 3))
        weights = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -1.0]])
        z = x @ weights.T + 0.8 * rng.normal(size=(4000, 2))
        truth = 0.5 * np.linalg.slogdet(np.eye(2) + weights @ weights.T / 0.64)[1]
        found = mutual_information(z, x, method=method, num_folds=2, seed=0)
        assert found.nats == pytest.approx(truth, abs=0.15 * truth + 4.0 * found.standard_error)
        if found.kind.startswith("lower"):
            assert found.nats < truth + 4.0 * found.standard_error
        assert abs(found.null) < 0.05

    def test_neighbours_are_counted_as_one_counts_them(self):
        z, x, _ = correlated(0.5, 2, 60)
        k = 3
        in_z, in_x = (np.abs(each[:, None] - each).max(-1) for each in (z, x))
        expected = []
        digamma = [-0.5772156649015329]
        for number in range(1, 61):
            digamma.append(digamma[-1] + 1.0 / number)
        for i in range(60):
            radius = np.sort(np.delete(np.maximum(in_z[i], in_x[i]), i))[k - 1]
            counts = [np.sum(np.delete(each[i], i) < radius) for each in (in_z, in_x)]
            psi = digamma[k - 1] + digamma[59] - sum(digamma[count] for count in counts)
            expected.append(psi)
        terms = nearest_neighbour_terms(z, x, k, np.random.default_rng(0))
        np.testing.assert_allclose(terms, expected, rtol=1e-6)


class TestBounds:
    def scores(self):
        return np.random.default_rng(0).normal(size=(6, 6))

    def test_infonce_is_the_cross_entropy_of_finding_the_pair(self):
        table = self.scores()
        share = np.exp(table) / np.exp(table).sum(1, keepdims=True)
        np.testing.assert_allclose(infonce_terms(table), np.log(6 * np.diag(share)))

    def test_nwj_and_smile_by_their_definitions(self):
        table = self.scores()
        unpaired = np.exp(table[~np.eye(6, dtype=bool)]).mean()
        assert nwj_terms(table).mean() == pytest.approx(np.diag(table).mean() + 1.0 - unpaired)
        smile = np.diag(table).mean() - math.log(unpaired)  # nothing is clipped
        assert smile_terms(table).mean() == pytest.approx(smile)
        assert smile_terms(table).mean() >= nwj_terms(table).mean()  # log t <= t - 1

    def test_a_ceiling_keeps_single_unpaired_scores_from_deciding_nwj(self):
        random = np.random.default_rng(1)
        held_back, others = (np.eye(50) * 2.0 + random.normal(size=(50, 50)) for _ in range(2))
        for table in (held_back, others):
            table[3, 7] = 30.0
        highest, offset = nwj_ceiling([held_back], math.log(200))
        assert 0.0 < highest < math.log(200)
        limited = np.minimum(held_back, highest) + offset
        assert np.exp(limited[~np.eye(50, dtype=bool)]).mean() == pytest.approx(1.0)
        assert nwj_terms(others).mean() < -1e9
        assert 0.0 < nwj_terms(np.minimum(others, highest) + offset).mean() < 2.0

    def test_no_ceiling_that_is_tried_gives_a_larger_bound(self):
        tables = [self.scores(), self.scores() - 0.5]
        highest, offset = nwj_ceiling(tables, 3.0)
        best = np.mean([nwj_terms(np.minimum(table, highest) + offset) for table in tables])
        for other in np.linspace(0.0, 3.0, 16):
            for shift in (offset, -0.5, 0.0, 0.5):
                bound = np.mean([nwj_terms(np.minimum(table, other) + shift) for table in tables])
                assert bound <= best + 1e-12

    def test_smile_clips_what_is_unpaired_only(self):
        table = np.full((4, 4), -50.0) + np.diag(np.full(4, 60.0))
        assert smile_terms(table).mean() == pytest.approx(10.0 + 5.0)

    @pytest.mark.slow
    def test_infonce_stops_at_its_cap_and_says_so(self):
        z, x, truth = correlated(0.9999999, 2, 200)
        found = mutual_information(z, x, num_folds=2, epochs=60, seed=0)
        assert found.cap == pytest.approx(math.log(100))
        assert found.nats < found.cap < truth
        near = [flag for flag in found.flags if "at least" in flag]
        assert len(near) == (found.nats > found.cap - 0.5)


class TestFewPairs:
    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["infonce", "knife"])
    def test_a_critic_of_48_pairs_invents_nothing_and_finds_half_a_nat(self, method):
        options = {"learning_rate": 1e-3, "batch_size": 256, "epochs": 100, "seed": 0}
        shapes = ((1,), (1,))
        critic = (
            MixtureDensities(shapes, **options)
            if method == "knife"
            else SeparableCritic(method, shapes, **options)
        )

        def found(rho, seed):
            z, x, truth = correlated(rho, 1, 548, seed)
            z, x = z.astype("float32"), x.astype("float32")
            critic.fit(z[:48], x[:48], np.random.default_rng(seed))
            return critic.terms(z[48:], x[48:]).mean(), truth

        nulls = [found(0.0, seed)[0] for seed in (200, 201)]
        assert np.mean(nulls) > -0.1
        assert -0.25 < min(nulls) <= max(nulls) < 0.05
        nats, truth = found(0.8, 200)
        assert 0.15 < nats < truth + 0.1

    @pytest.mark.slow
    def test_what_so_few_pairs_would_not_have_told_is_said(self):
        z, x, _ = correlated(0.0, 1, 24, seed=200)
        found = mutual_information(z, x, num_folds=2, epochs=20, seed=0)
        assert "24 pairs cannot distinguish less than about 1.7 nats from none" in found.flags[0]
        assert abs(found.null) < 0.3


class TestInvariance:
    def test_monotone_maps_of_coordinates_change_nothing(self):
        z, x, _ = correlated(0.8, 2, 300)
        plain = mutual_information(z, x, method="ksg", seed=1)
        mapped = mutual_information(np.sinh(3.0 * z), 5.0 - x**3, method="ksg", seed=1)
        assert mapped.nats == pytest.approx(plain.nats, abs=1e-9)

    def test_constant_coordinates_and_further_axes_change_nothing(self):
        z, x, _ = correlated(0.8, 2, 300)
        plain = mutual_information(z, x, method="ksg", seed=1)
        padded = np.concatenate([z[:, None, :], np.ones([300, 1, 2])], 1)
        assert mutual_information(padded, x, method="ksg", seed=1).nats == plain.nats

    def test_the_same_seed_gives_the_same_numbers_and_the_result_carries_it(self):
        z, x, _ = correlated(0.8, 1, 120)
        options = {"num_folds": 2, "epochs": 2, "method": "nwj"}
        first = mutual_information(z, x, **options)
        again = mutual_information(z, x, seed=first.seed, **options)
        assert again.to_dict() | {"null_std": None} == first.to_dict() | {"null_std": None}


class TestFlags:
    def test_independent_pairs_are_not_above_their_null(self):
        z, x, _ = correlated(0.0, 1, 300)
        found = mutual_information(z, x, method="ksg", num_permutations=5, seed=0)
        assert "Not above the estimate for permuted pairs" in found.flags[0]
        assert found.flags[0] in repr(found)
        missed = 3.0 * math.hypot(found.standard_error, found.null_std)
        assert f"300 pairs cannot distinguish less than about {missed:.2g} nats" in found.flags[0]

    @pytest.mark.parametrize(("null", "is_said"), [(-0.1, False), (0.1, False), (0.13, True)])
    def test_a_null_is_doubted_from_three_standard_errors_on(self, null, is_said):
        numbers = {"nats": 0.5, "standard_error": 0.04, "cap": 9.0, "null": null}
        unknown = dict.fromkeys(("null_std", "train_nats"), math.nan)
        found = MutualInformation(
            **numbers, **unknown, method="ksg", kind="", num_examples=300, seed=0
        )
        assert len([*_doubts(found, 2, 0)]) == is_said

    @pytest.mark.slow
    def test_what_is_learned_by_heart_is_said(self):
        z, x, _ = correlated(0.0, 40, 120)
        options = {"learning_rate": 0.01, "num_folds": 2, "seed": 0}
        found = mutual_information(z, x, method="smile", **options)
        assert (found.gap > 0.1) == any("trained on" in flag for flag in found.flags)
        assert found.gap == found.train_nats - found.nats

    def test_many_dimensions_are_too_many_for_neighbours(self):
        z, x, truth = correlated(0.9, 20, 300)
        found = mutual_information(z, x, method="ksg", seed=0)
        assert found.nats < 0.5 * truth
        assert "In 40 dimensions neighbours are far" in " ".join(found.flags)

    def test_a_clean_estimate_has_none(self):
        z, x, _ = correlated(0.8, 1, 500)
        assert mutual_information(z, x, method="ksg", seed=0).flags == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"z": np.ones([50, 2])}, "`z` must vary"),
        ({"x": np.zeros(50)}, "`x` must vary"),
        ({"x": np.arange(49.0)}, "`x` must"),
        ({"z": np.arange(15.0), "x": np.arange(15.0)}, "`z` must hold at least 20 examples"),
    ],
    ids=["constant", "zeros", "lengths", "few"],
)
def test_data_of_no_use_are_refused(change, sentence):
    pairs = {"z": np.arange(50.0), "x": np.arange(50.0) % 7, **change}
    with pytest.raises(ValueError, match=f"{sentence}.*Received: "):
        mutual_information(**pairs, num_folds=2)


class TestRepeatedPairs:
    def test_examples_that_are_there_several_times_are_said(self):
        rng = np.random.default_rng(0)
        z, x = (np.repeat(rng.normal(size=(40, 2)), 5, 0) for _ in range(2))
        found = mutual_information(z, x, method="ksg", seed=0)  # truth: 0
        assert found.nats > 2.0
        assert "160 of 200 pairs repeat others" in " ".join(found.flags)

    def test_discrete_variables_and_units_that_rest_are_not_taken_for_copies(self):
        rng = np.random.default_rng(0)
        classes = rng.integers(0, 3, 200)
        resting = np.maximum(rng.normal(size=(200, 4)) - 1.0, 0.0)
        for z, x in (
            (classes, np.where(rng.random(200) < 0.8, classes, rng.integers(0, 3, 200))),
            (np.eye(10)[rng.integers(0, 10, 200)],) * 2,
            (resting, resting),
            (rng.normal(size=200), classes),
            (resting[:, 0], 2.0 * resting[:, 0]),
        ):
            assert num_repeated(z.reshape(200, -1), x.reshape(200, -1)) == 0
