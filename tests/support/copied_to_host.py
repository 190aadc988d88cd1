"""How many bytes a device copies to the host while something runs, from TensorFlow's profiler."""

import pathlib
import re
import tempfile
from collections.abc import Callable

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

__all__ = ["bytes_copied", "bytes_of_trace"]

# As the profiler of CUDA calls such a copy, and as it says how many bytes it had.
TO_HOST, SIZE = re.compile("D2H|DtoH", re.IGNORECASE), re.compile(r"\bsize:(\d+)")


def bytes_copied(run: Callable[[], object]) -> int:
    """Bytes that go from any device to the host while a function runs.

    Raises:
        RuntimeError: the profiler saw no device at work.
    """
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        (trace,) = pathlib.Path(folder).rglob("*.xplane.pb")
        return bytes_of_trace(trace.read_bytes())


def bytes_of_trace(trace: bytes) -> int:
    """The same of a trace that was written."""
    space = xplane_pb2.XSpace.FromString(trace)
    planes = [plane for plane in space.planes if plane.name.startswith("/device:GPU")]
    if not any(line.events for plane in planes for line in plane.lines):
        raise RuntimeError(
            f"No device was seen. Received: {[plane.name for plane in space.planes]}"
        )
    total = 0
    for plane in planes:
        for line in plane.lines:
            for event in line.events:
                if TO_HOST.search(plane.event_metadata[event.metadata_id].name):
                    total += size_of(plane, event)
    return total


def size_of(plane: xplane_pb2.XPlane, event: xplane_pb2.XEvent) -> int:
    """The bytes of one copy, which stand in one of its details.

    Raises:
        RuntimeError: in none of them.
    """
    said = []
    for stat in event.stats:
        text = stat.str_value or plane.stat_metadata[stat.ref_value].name
        if found := SIZE.search(text):
            return int(found[1])
        said.append(f"{plane.stat_metadata[stat.metadata_id].name}={text}")
    raise RuntimeError(f"A copy without a size. Received: {', '.join(said)}")
