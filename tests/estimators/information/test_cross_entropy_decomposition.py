"""The four terms of a cross-entropy."""

import itertools

import numpy as np
import pytest

from keras_infobottleneck.estimators import cross_entropy_decomposition

SHAPE = (3, 2, 4, 3)  # theta, x, y, w


def random_case(seed, shape=SHAPE, zeros=0.0):
    rng = np.random.default_rng(seed)
    joint = rng.gamma(0.5, size=shape) * (rng.random(shape) >= zeros)
    q = rng.gamma(0.5, size=shape[1:])
    return joint / joint.sum(), q / q.sum(1, keepdims=True)


def entropy(p):
    p = p[p > 0]
    return -np.sum(p * np.log(p))


def slow(joint, q):
    """The same by entropies of marginals, and the divergence by loops."""
    x, y, w = joint.shape[1:]
    theta_x, theta_x_y = joint.sum((2, 3)), joint.sum(3)
    xw, xyw, theta_xw = joint.sum((0, 2)), joint.sum(0), joint.sum(2)
    given_source = entropy(theta_x_y) - entropy(theta_x)
    given_weights = entropy(xyw) - entropy(xw)
    given_both = entropy(joint) - entropy(theta_xw)
    divergence = 0.0
    for i, j, k in itertools.product(range(x), range(y), range(w)):
        if xyw[i, j, k] > 0:
            divergence += xyw[i, j, k] * np.log(xyw[i, j, k] / xw[i, k] / q[i, j, k])
    return given_source, given_weights - given_both, divergence, given_source - given_both


@pytest.mark.parametrize("zeros", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(10))
def test_terms_add_up_to_the_cross_entropy_and_equal_slow_ones(seed, zeros):
    joint, q = random_case(seed, zeros=zeros)
    found = cross_entropy_decomposition(joint, q)
    total = found.intrinsic + found.sufficiency + found.efficiency - found.overfitting
    assert abs(total - found.cross_entropy) < 1e-10
    terms = [found.intrinsic, found.sufficiency, found.efficiency, found.overfitting]
    np.testing.assert_allclose(terms, slow(joint, q), atol=1e-12)
    assert min(terms) > -1e-12


def test_memory_of_random_labels_is_overfitting():
    """One label of two values, kept in the weights as it is: log 2 nats, loss zero."""
    joint = np.zeros([1, 1, 2, 2])
    joint[0, 0] = np.eye(2) / 2
    found = cross_entropy_decomposition(joint, np.eye(2)[None])
    assert found.cross_entropy == 0.0
    assert found.intrinsic == pytest.approx(np.log(2))
    assert found.overfitting == pytest.approx(np.log(2))
    assert found.sufficiency == found.efficiency == 0.0


def test_weights_that_know_nothing_lack_sufficiency():
    joint = np.zeros([2, 1, 2, 1])
    joint[:, 0, :, 0] = np.eye(2) / 2  # the source decides the label
    found = cross_entropy_decomposition(joint, np.full([1, 2, 1], 0.5))
    assert found.sufficiency == pytest.approx(np.log(2))
    assert found.intrinsic == found.overfitting == 0.0
    assert found.cross_entropy == pytest.approx(np.log(2))


def test_a_model_that_rules_out_what_happens_is_infinitely_inefficient():
    joint, q = random_case(0)
    q = np.zeros_like(q)
    q[:, 0] = 1.0
    found = cross_entropy_decomposition(joint, q)
    assert found.efficiency == found.cross_entropy == np.inf
    assert np.isfinite([found.intrinsic, found.sufficiency, found.overfitting]).all()


def test_what_never_occurs_does_not_matter():
    joint, q = random_case(1)
    joint[:, 0, :, 0] = 0.0
    joint /= joint.sum()
    changed = q.copy()
    changed[0, :, 0] = 0.0  # not even a distribution
    assert cross_entropy_decomposition(joint, q) == cross_entropy_decomposition(joint, changed)


def test_average_divergence_is_mutual_information_plus_divergence_of_the_marginal():
    """E_D KL(Q(w|D) || P) = I(w; D) + KL(Q(w) || P), exactly."""
    rng = np.random.default_rng(0)
    p_data = rng.dirichlet(np.ones(4))
    posterior, prior = rng.dirichlet(np.ones(5), size=4), rng.dirichlet(np.ones(5))
    marginal = p_data @ posterior
    average = p_data @ np.sum(posterior * np.log(posterior / prior), 1)
    joint = p_data[:, None] * posterior
    mutual = np.sum(joint * np.log(joint / np.outer(p_data, marginal)))
    assert average == pytest.approx(mutual + np.sum(marginal * np.log(marginal / prior)), abs=1e-14)
    # The same mutual information by the decomposition: w as the label of a source that is known.
    found = cross_entropy_decomposition(joint.T[None, None], np.ones([1, 5, 4]) / 5)
    assert found.overfitting == pytest.approx(mutual, abs=1e-14)


BAD = {
    "three axes": (np.ones([2, 2, 2]) / 8, np.ones([2, 2]) / 2),
    "q of another shape": (np.ones([2, 2, 2, 2]) / 16, np.ones([2, 2, 3]) / 2),
    "empty": (np.ones([0, 2, 2, 2]), np.ones([2, 2, 2]) / 2),
    "negative": (np.full([1, 1, 2, 1], [[[[1.5], [-0.5]]]]), np.ones([1, 2, 1]) / 2),
    "nan": (np.full([1, 1, 2, 1], np.nan), np.ones([1, 2, 1]) / 2),
    "sum of two": (np.ones([1, 1, 2, 1]), np.ones([1, 2, 1]) / 2),
    "q not normalised": (np.ones([1, 1, 2, 1]) / 2, np.ones([1, 2, 1])),
    "text": (np.full([1, 1, 2, 1], "a"), np.ones([1, 2, 1]) / 2),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case):
    error = TypeError if case == "text" else ValueError
    with pytest.raises(error, match=r"`(joint|q)` must .*Received: [^\n]*$"):
        cross_entropy_decomposition(*BAD[case])


def test_result_prints_and_converts():
    found = cross_entropy_decomposition(*random_case(0))
    assert "overfitting" in repr(found)
    assert found.to_dict()["cross_entropy"] == found.cross_entropy
