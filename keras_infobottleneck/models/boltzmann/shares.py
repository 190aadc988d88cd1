"""The part of a batch, and of the chains, that one replica of a strategy works on.

Each replica draws for its rows what a single device would draw for them, and contributes its part
to means over the whole batch. So the step does not depend on the number of replicas.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import tensorflow as tf

__all__ = ["Share", "gathered", "mean_so_far", "of_batch", "of_chains", "summed"]


class Share(NamedTuple):
    """Some rows of an array that is distributed over all replicas.

    Attributes:
        first: Number of the first row.
        rows: Number of rows on this replica.
        total: Number of rows on all replicas.
    """

    first: int | tf.Tensor
    rows: int | tf.Tensor
    total: int | tf.Tensor


def _replicas() -> tf.distribute.ReplicaContext | None:
    """The current replica, or None if there is only one."""
    replica = tf.distribute.get_replica_context()
    return replica if replica is not None and replica.num_replicas_in_sync > 1 else None


def of_batch(batch: tf.Tensor) -> Share:
    """The rows of this replica's batch among all; shares may be unequal or empty."""
    rows, replica = tf.shape(batch)[0], _replicas()
    if replica is None:
        return Share(0, rows, rows)
    counts = replica.all_gather(rows[None], axis=0)
    number = replica.replica_id_in_sync_group
    return Share(tf.reduce_sum(counts[:number]), rows, tf.reduce_sum(counts))


def of_chains(num_chains: int) -> Share:
    """The chains that this replica updates."""
    replica = _replicas()
    if replica is None:
        return Share(0, num_chains, num_chains)
    number, count = replica.replica_id_in_sync_group, replica.num_replicas_in_sync
    first = num_chains * number // count
    return Share(first, num_chains * (number + 1) // count - first, num_chains)


def gathered(rows: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, in their order."""
    replica = _replicas()
    return rows if replica is None else replica.all_gather(rows, axis=0)


def summed(values: list[tf.Tensor]) -> list[tf.Tensor]:
    """Sums over all replicas."""
    replica = _replicas()
    return values if replica is None else replica.all_reduce("sum", values)


def mean_so_far(metric: keras.metrics.Mean) -> tf.Tensor:
    """The mean over all replicas; `metric.result` is the mean on this one."""
    total, count = summed([metric.total.value, metric.count.value])
    return tf.math.divide_no_nan(total, count)
