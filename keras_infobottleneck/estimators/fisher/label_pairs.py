"""Assigns labels to the distributions of a likelihood, by key or by order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from keras_infobottleneck.estimators.fisher.terms import Term

__all__ = ["label_of_each", "losses_of"]


def label_of_each(terms: Sequence[Term], y: Any) -> list[Any]:
    """The labels in the order of the terms.

    Labels in a dictionary are assigned by the keys of the likelihood's distributions, in any order;
    additional labels are ignored. A list of distributions has no keys, and TensorFlow would assign
    labels in alphabetical order.

    Raises:
        ValueError: The keys do not match, or the number of labels is wrong.
    """
    if len(terms) == 1 and terms[0].takes_nests:
        return [y]
    if isinstance(y, Mapping):
        keys = [term.key for term in terms]
        if all(key is not None and key in y for key in keys):
            return [_only(y[key]) for key in keys]
        if len(terms) > 1 or len(tf.nest.flatten(y)) != 1:
            raise ValueError(
                "Labels in a dictionary need a `likelihood` that returns a dictionary of "
                "distributions with the same keys, such as "
                "`lambda o: {'a': tfd.Categorical(o['a'])}`. "
                f"Received: labels {sorted(y)}, {_words(keys)}"
            )
    leaves = tf.nest.flatten(y)
    if len(leaves) > 1 and any(term.needs_key for term in terms):
        raise ValueError(
            "Labels of a dictionary of distributions must be a dictionary with the same keys, if "
            "these are not in alphabetical order. "
            f"Received: {len(leaves)} labels in a {type(y).__name__}"
        )
    if len(leaves) != len(terms):
        raise ValueError(
            "There must be one label for each distribution of the likelihood, of which there are "
            f"{len(terms)}. "
            f"Received: {len(leaves)} label arrays"
        )
    return leaves


def losses_of(terms: Sequence[Term], y: Any) -> tf.Tensor:
    """Negative log-probability of the labels, in nats, `[batch]`."""
    pairs = zip(terms, label_of_each(terms, y), strict=True)
    return -tf.add_n([term.log_prob(label) for term, label in pairs])


def _only(label: Any) -> Any:
    """A label; one in a list or dictionary of length one is taken out."""
    leaves = tf.nest.flatten(label)
    return leaves[0] if len(leaves) == 1 else label


def _words(keys: list[Any]) -> str:
    named = [key for key in keys if key is not None]
    return f"distributions {named}" if named else "distributions without keys"
