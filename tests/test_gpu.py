"""On a GPU: the numbers of the processor, no batch back to the host, and bounded memory.

Without one all of these are skipped but the last two, which try what they are made of.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

import keras_infobottleneck as kib
from tests.support import forked_scripts
from tests.support.copied_to_host import bytes_copied, bytes_of_trace
from tests.support.measured_on_devices import ALL

GPU = "GPU:0"
on_a_gpu = pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="needs a GPU")
E = kib.estimators
WIDTH, BATCH = 256, 64


def differences(device, *names):
    """As a process of its own finds them, in which devices are configured first."""
    done = forked_scripts.run("tests.support.measured_on_devices", device, *names)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def network():
    layers = [keras.layers.Dense(WIDTH, "relu", name="hidden"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((WIDTH,)), *layers])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def noisy_network():
    options = {"prior_scale": "grid", "variational_bias": True, "verbose": 0}
    model = kib.make_variational(network(), num_examples=1000, **options)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


# Sums over batches: what they give does not grow with the number of batches.
SUMS = {
    "diagonal": (network, lambda m, d: E.fisher_information(m, d, seed=0, batch_size=BATCH)),
    "kronecker": (
        network,
        lambda m, d: E.fisher_information(m, d, structure="kronecker", seed=0, batch_size=BATCH),
    ),
    "hessian": (network, lambda m, d: E.hessian(m, d, batch_size=BATCH).trace(num_probes=2)),
    "code": (
        noisy_network,
        lambda m, d: E.description_length(m, d, num_draws=2, seed=0, batch_size=BATCH),
    ),
}


def data(num_batches):
    random = np.random.default_rng(0)
    count = num_batches * BATCH
    return random.normal(size=(count, WIDTH)).astype("float32"), random.integers(0, 10, count)


@pytest.mark.gpu
@on_a_gpu
def test_a_gpu_gives_the_numbers_of_the_processor():
    found = differences(GPU)
    assert {name: off for name, off in found.items() if not off <= 1e-4} == {}
    assert set(found) == set(ALL)


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("name", SUMS)
def test_no_batch_goes_back_to_the_host(name):
    make, measure = SUMS[name]
    model = make()
    few, many = data(8), data(40)
    measure(model, many)  # traces
    more = bytes_copied(lambda: measure(model, many)) - bytes_copied(lambda: measure(model, few))
    # A few numbers for each batch, where its inputs are 64 KiB and its activations as many.
    assert more <= 32 * 1024


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("name", SUMS)
def test_memory_of_the_device_does_not_grow_with_the_data(name):
    make, measure = SUMS[name]
    model = make()
    peaks = []
    for num_batches in (512, 2048):  # more than one stack
        examples = data(num_batches)
        measure(model, examples)
        tf.config.experimental.reset_memory_stats(GPU)
        measure(model, examples)
        peaks.append(tf.config.experimental.get_memory_info(GPU)["peak"])
    assert peaks[1] <= 1.05 * peaks[0]


@pytest.mark.quick
def test_copies_to_the_host_are_read_from_a_trace():
    space = xplane_pb2.XSpace()
    space.planes.add(name="/host:CPU")
    plane = space.planes.add(name="/device:GPU:0")
    plane.stat_metadata[1].name = "memcpy_details"
    plane.stat_metadata[2].name = "kind_src:device kind_dst:pinned size:24 dest:0 async:1"
    for number, name in enumerate(["MemcpyD2H", "MemcpyH2D", "a kernel"]):
        plane.event_metadata[number].name = name
    events = plane.lines.add().events
    with pytest.raises(RuntimeError, match="No device was seen"):
        bytes_of_trace(space.SerializeToString())
    text = "kind_src:device kind_dst:pageable size:4096 dest:0 async:1"
    for kind in (0, 1, 2):
        events.add(metadata_id=kind).stats.add(metadata_id=1, str_value=text)
    events.add(metadata_id=0).stats.add(metadata_id=1, ref_value=2)
    assert bytes_of_trace(space.SerializeToString()) == 4096 + 24
    events.add(metadata_id=0)
    with pytest.raises(RuntimeError, match="without a size"):
        bytes_of_trace(space.SerializeToString())


@pytest.mark.slow
def test_devices_are_compared_by_their_numbers():
    names = ["fisher diagonal sampled", "layer flipout", "convolution local"]
    names += ["layer dropout", "layer bottleneck"]
    assert all(off <= 1e-6 for off in differences("CPU:1", *names).values())
