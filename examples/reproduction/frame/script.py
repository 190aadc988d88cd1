"""What every example shares: its flags, a start that speaks in one line, and a result."""

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import app, flags

from keras_infobottleneck.results.files import write_text


def define_flags(
    output_dir: str, *, data: bool = True, resume: bool = False, full: bool = False
) -> None:
    """The flags of every script.

    Args:
        output_dir: default of ``--output_dir``.
        data: whether there are data, which may be others, and a seed.
        resume: whether the script keeps records, from which it goes on.
        full: whether the sizes of a paper can be asked for.
    """
    if data:
        flags.DEFINE_string(
            "data",
            None,
            "File .npz of x_train, y_train, x_test, y_test; else scikit-learn's digits.",
        )
        flags.DEFINE_integer(
            "seed", 0, "Seed of data, weights and noise; repeats count up from it.", 0
        )
    flags.DEFINE_string("output_dir", output_dir, "Where result.json and all else is written.")
    flags.DEFINE_bool("smoke", False, "Tiny sizes, less than a minute: shows that everything runs.")
    if resume:
        flags.DEFINE_bool(
            "resume", True, "Go on with what output_dir holds; --noresume starts over."
        )
    if full:
        flags.DEFINE_bool("full", False, "The published network and sizes: hours, on a GPU.")


def main(run: Callable[[], None]) -> None:
    """Start a script: what is wrong with flags or data is said in one line."""

    def start(argv):
        name = _script()
        if len(argv) > 1:
            sys.exit(f"{name}: takes flags only. Received: {argv[1:]}")
        if flags.FLAGS.smoke and "full" in flags.FLAGS and flags.FLAGS.full:
            sys.exit(f"{name}: takes --smoke or --full, not both. Received: both")
        tf.config.experimental.enable_op_determinism()
        try:
            run()
        except ValueError as error:
            sys.exit(f"{name}: {error}")
        except KeyboardInterrupt:
            again = "; the same command goes on where it was" if "resume" in flags.FLAGS else ""
            sys.exit(f"{name}: interrupted{again}.")

    app.run(start)


def output_folder() -> Path:
    """The folder of ``--output_dir``, made if it is not there.

    Raises:
        ValueError: it cannot be made.
    """
    folder = Path(flags.FLAGS.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            "--output_dir must be a folder that can be written to. "
            f"Received: {folder} ({error.strerror})"
        ) from None
    return folder


def finish(sentence: str, **numbers: Any) -> None:
    """Write the numbers, with the command, to ``result.json``; print the sentence as the result."""
    folder = output_folder()
    smoke = {"smoke": True} if flags.FLAGS.smoke else {}
    write_json(folder / "result.json", {"command": command(), **smoke, **numbers})
    print(f"RESULT {sentence} -> {folder}")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file as a whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def command() -> str:
    """The command that was given, without folders: a result names no machine."""
    flags_of = flags.FLAGS.flags_by_module_dict()
    given = [
        _without_folders(flag) if flag.name in ("data", "weights") else flag.serialize()
        for module in (sys.argv[0], __name__)
        for flag in flags_of.get(module, ())
        if flag.present and flag.name not in ("output_dir", "resume")
    ]
    return shlex.join(["python", f"examples/{_script()}", *given])


def _without_folders(flag: flags.Flag) -> str:
    """A flag that names files, by their names alone."""
    files = [flag.value] if isinstance(flag.value, str) else flag.value
    return f"--{flag.name}={','.join(os.path.basename(file) for file in files)}"


def _script() -> str:
    """The script that runs, from the folder of all examples where it is in it."""
    path, examples = Path(sys.argv[0]).resolve(), Path(__file__).parents[2]
    return path.relative_to(examples).as_posix() if examples in path.parents else path.name
