"""Scripts in processes of their own which need not import TensorFlow again.

Importing TensorFlow, Keras and TensorFlow Probability takes six seconds of the processor, most of
the time of a small script. A server has imported them, and nothing has run in it: it has no devices
and no threads. A script starts as a fork of it, with its own arguments, folder, output and exit
status, and can be killed like any other process.
"""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
PRELOADED = (
    *("keras_infobottleneck", "tensorflow_probability", "tensorflow.saved_model"),
    *("matplotlib.pyplot", "sklearn.datasets", "absl.app"),
)

# Elsewhere a fork of a process with these libraries is not safe, and every script imports them.
_context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
_context.set_forkserver_preload(list(PRELOADED))


class ForkedScript:
    """What `subprocess.Popen` offers of a script, or of a module where the path is its name."""

    def __init__(self, path: str | os.PathLike, *arguments: str):
        self.args = [os.fspath(path), *map(os.fspath, arguments)]
        self._folder = tempfile.TemporaryDirectory()
        self._streams = [pathlib.Path(self._folder.name, name) for name in ("output", "errors")]
        for stream in self._streams:
            stream.touch()
        self._process = _context.Process(
            target=_run, args=(self.args, [os.fspath(stream) for stream in self._streams])
        )
        self._process.start()

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def finished(self) -> subprocess.CompletedProcess:
        """What came of it, once it has ended."""
        self._process.join()
        output, errors = (stream.read_text("utf-8") for stream in self._streams)
        self._folder.cleanup()
        return subprocess.CompletedProcess(self.args, self._process.exitcode, output, errors)


def run(path: str | os.PathLike, *arguments: str) -> subprocess.CompletedProcess:
    """What came of a script, or of a module."""
    return ForkedScript(path, *arguments).finished()


def _run(command: list[str], streams: list[str]) -> None:
    """In the fork: what the interpreter does with a script."""
    for number, stream in enumerate(streams, 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_APPEND), number)
    sys.argv = command
    if os.path.sep in command[0]:
        sys.path[:0] = [os.path.dirname(command[0]), os.fspath(ROOT)]
        runpy.run_path(command[0], run_name="__main__")
    else:
        sys.path[:0] = [os.fspath(ROOT)]
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
