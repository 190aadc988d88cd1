"""What the experiment measures of a layer: its place, and what it generates."""

import keras
import numpy as np

from keras_infobottleneck import estimators
from reproduction.resolution_relevance.energies import exact_spread, hidden_energies
from reproduction.resolution_relevance.samples import two_samples


def layer_of_states(states, curve, seed=0) -> dict:
    """Place of a layer on the plane, its null at equal resolution, and its Zipf exponent."""
    counts = estimators.StateCounts().update(states).counts
    point = estimators.resolution_relevance_of_counts(counts)
    null = estimators.relevance_null(states, num_draws=4, seed=seed)
    null_relevance, null_std = null.at(min(point.resolution, null.resolution))
    count, repeats = np.unique(counts, return_counts=True)
    result = point.to_dict() | {
        "units": states.shape[1],
        "below_curve": float(curve.at(min(point.resolution, 1.0))) - point.relevance,
        "null_relevance_at_equal_resolution": float(null_relevance),
        "null_relevance_std": float(null_std),
        "shuffled_resolution": null.resolution,
        "shuffled_relevance": null.relevance,
        "frequencies": {"count": count.tolist(), "states": repeats.tolist()},
    }
    if len(count) > 1:
        fit = estimators.zipf_exponent(counts)
        result |= {"mu": fit.mu, "mu_standard_error": fit.standard_error}
    return result


def generation(network, layer, x, y, judge_model, settings, rng) -> dict:
    """How well a layer generates: from the states of held-out images, and freely.

    What it draws freely is compared with as many held-out images, in the features of a classifier.
    """
    rows = rng.choice(len(x), min(settings["generated"], len(x)), replace=False)
    states = network.hidden_states(x[rows], layer)
    predicted, _ = _opinion(judge_model, network.generate(layer, states))
    start = rng.random(states.shape) < 0.5
    images = network.generate(layer, start, num_steps=settings["gibbs_steps"])
    classes, confidence = _opinion(judge_model, images)
    share = np.bincount(classes, minlength=10) / len(classes)
    share = share[share > 0]
    features = keras.Model(judge_model.inputs, judge_model.layers[-2].output)
    real, drawn = (keras.ops.convert_to_numpy(features(each)) for each in (x[rows], images))
    return {
        "class_kept": float(np.mean(predicted == y[rows])),
        "free_confidence": float(confidence.mean()),
        "free_class_entropy": float(-np.sum(share * np.log(share))),
        **two_samples(real, drawn),
    }


def random_states(x, size, rng):
    """States of random linear units of the images, each cut at its median."""
    activations = x @ rng.normal(size=(x.shape[1], size)).astype("float32")
    return activations > np.median(activations, axis=0)


def before_and_after(machine, x, train, curve) -> dict:
    """A machine's place on the plane and the spread of its energies, before and after learning."""
    found = {}
    for moment in ("before", "after"):
        if moment == "after":
            train()
        states = machine.hidden_states(x)
        found[moment] = layer_of_states(states, curve)
        found[moment]["energy_std"] = float(np.std(hidden_energies(machine, states)))
        is_trained = moment == "after"
        found[moment]["energies"] = exact_spread(machine, with_units_apart=is_trained)
    return found


def _opinion(judge_model, images):
    """Predicted class and the probability given to it."""
    logits = judge_model.predict(images, batch_size=1000, verbose=0)
    probability = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    return probability.argmax(axis=1), probability.max(axis=1)
