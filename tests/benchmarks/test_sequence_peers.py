"""The networks that the torch packages are measured on compute what ours do."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from benchmarks import sequence_networks, sequence_peers, torch_func_peers
from keras_infobottleneck.estimators import fisher_information, hessian

pytestmark = pytest.mark.slow

NETWORKS = [
    (name, kind)
    for name, kinds in sequence_peers.SEQUENCES.items()
    for kind in dict.fromkeys(kinds)
]


def pair(name, kind):
    """A network of Keras with weights that are not those of a fresh one, and the same in torch."""
    rng = np.random.default_rng(0)
    ours, theirs = sequence_networks.SEQUENCES[name](), kind()
    for variable in ours.trainable_variables:
        variable.assign(variable + 0.1 * rng.standard_normal(variable.shape))
    sequence_peers.load_weights(theirs, [v.numpy() for v in ours.trainable_variables])
    x = rng.uniform(size=(8, 28, 28, 1)).astype(np.float32)
    return ours, theirs, x, rng.integers(0, 10, 8)


def in_torch(x):
    return torch.tensor(x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("name", "kind"), NETWORKS)
def test_networks_in_torch_have_the_same_logits(name, kind):
    ours, theirs, x, _ = pair(name, kind)
    found = theirs(in_torch(x)).detach().numpy()
    np.testing.assert_allclose(found, ours(x).numpy(), atol=1e-4)


@pytest.mark.parametrize(("name", "kind"), NETWORKS)
def test_weights_come_back_as_they_went(name, kind):
    ours, theirs, _, _ = pair(name, kind)
    flat = np.concatenate([v.numpy().ravel() for v in ours.trainable_variables])
    found = sequence_peers.in_keras_order(theirs, list(theirs.parameters()))
    np.testing.assert_array_equal(found, flat)


@pytest.mark.parametrize("name", list(sequence_peers.SEQUENCES))
def test_torch_alone_has_the_same_curvature(name):
    ours, theirs, x, y = pair(name, sequence_peers.SEQUENCES[name][1])
    torch.manual_seed(0)
    vector = [torch.randn_like(p) for p in theirs.parameters()]
    torch.manual_seed(0)  # the vector that the products take
    runs = torch_func_peers.torch_func_runs(theirs, [(in_torch(x), torch.tensor(y))])

    flat = sequence_peers.in_keras_order(theirs, vector)
    sizes = [v.shape.num_elements() for v in ours.trainable_variables]
    parts = np.split(flat.astype(np.float32), np.cumsum(sizes)[:-1])
    parts = [part.reshape(v.shape) for part, v in zip(parts, ours.trainable_variables, strict=True)]
    options = {"likelihood": "categorical"}
    implicit = fisher_information(ours, (x, y), structure="implicit", labels="expected", **options)
    exact = {
        "fisher-vector product": implicit.matvec(parts),
        "hessian-vector product": hessian(ours, (x, y), **options).matvec(parts),
    }
    for labels in ("empirical", "expected"):
        fisher = fisher_information(ours, (x, y), labels=labels, **options)
        exact[f"diagonal, {labels}"] = fisher.diagonal()
    for quantity, values in exact.items():
        found = sequence_peers.in_keras_order(theirs, runs[f"torch.func {quantity}"]())
        truth = np.concatenate([np.ravel(v) for v in values])
        np.testing.assert_allclose(found, truth, atol=1e-4 * np.abs(truth).max(), err_msg=quantity)
