"""The numbers that a model or a result gives, for comparison with those of version 0.1.0."""

import keras
import numpy as np

import keras_infobottleneck as kib
from tests.files_of_0_1_0.networks import X_PRIOR, Y_PRIOR

SHIFT = 0.01  # of the log-determinants
STRUCTURES = ("diagonal", "kronecker", "dense", "gram")


def numbers_of_model(model, x, y):
    """Predictions, nats, prices and weights in their order, as JSON has them."""
    numbers = {
        "predictions": model.predict(x, verbose=0).tolist(),
        "weights": [[w.name, norm(w)] for w in model.weights],
    }
    if isinstance(model, kib.models.RestrictedBoltzmannMachine):
        numbers["free_energy"] = np.asarray(model.free_energy(x)).tolist()
    if isinstance(model, kib.models.DeepBeliefNetwork):
        numbers["generated"] = model.generate(2, model.predict(x, verbose=0)).tolist()
    if isinstance(model, kib.InformationBottleneckModel):
        numbers |= numbers_of_information(model, x, y)
    return numbers


def numbers_of_information(model, x, y):
    noisy = [
        layer for layer in model.network.layers if isinstance(layer, kib.layers.InformationDropout)
    ]
    numbers = {
        "objective": [model.objective, model.delta, model.num_examples, float(model.weight_beta)],
        "logs": model.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True),
        "nats": [float(q.kl_divergence()) for q in model.variational_layers],
        "signal_to_noise": [
            float(np.median(ratio))
            for q in model.variational_layers
            for ratio in q.signal_to_noise().values()
        ],
        "prices": {layer.name: float(layer.beta) for layer in noisy},
        "optimizer_steps": int(model.optimizer.iterations),
    }
    if len(model.anchoring_fingerprints):
        numbers["fingerprints"] = model.anchoring_fingerprints.tolist()
        numbers["certificate"] = numbers_of_certificate(model, x, y)
    return numbers


def numbers_of_certificate(model, x, y):
    """Those of its numbers that no draw enters."""
    found = kib.estimators.certify(model, (x, y), from_logits=True, num_samples=2, seed=0)
    names = ("kl", "num_examples", "num_anchoring_examples", "mean_error")
    return {name: float(getattr(found, name)) for name in names}


def refusal_of_the_prior_data(model):
    """The sentence that refuses a certificate on the data of the prior."""
    try:
        kib.estimators.certify(model, (X_PRIOR, Y_PRIOR), from_logits=True, seed=0)
    except ValueError as error:
        return str(error)
    raise AssertionError("a certificate on the data of the prior")


def numbers_of_fisher(fisher):
    """Everything that a matrix read from a file answers."""
    vector = [np.cos(np.arange(d.size)).reshape(d.shape) for d in fisher.diagonal()]
    return {
        "structure": fisher.structure,
        "labels": fisher.labels,
        "num_examples": fisher.num_examples,
        "variables": list(fisher.variables),
        "trace": float(fisher.trace()),
        "standard_error": float(fisher.standard_error),
        "logdet": float(fisher.logdet(SHIFT)),
        "eigenvalues": fisher.eigenvalues(3).tolist(),
        "product": [norm(part) for part in fisher.matvec(vector)],
        "diagonal": [norm(part) for part in fisher.diagonal()],
    }


def norm(array):
    """One number for an array that tells whether its entries and their order are the same."""
    flat = np.asarray(keras.ops.convert_to_numpy(array), "float64").reshape(-1)
    return float(flat @ np.cos(np.arange(flat.size)))
