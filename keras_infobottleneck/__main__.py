"""The command line: `python -m keras_infobottleneck COMMAND ...`, and `kib COMMAND ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import keras_infobottleneck
from keras_infobottleneck.command_line.command import PROGRAM
from keras_infobottleneck.command_line.registration import COMMANDS

__all__ = ["main"]

GOOD, BAD_USE, INTERRUPTED = 0, 2, 130
HELP = ("--help", "-h", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: Words of the command line after the program's name; `sys.argv` by default.

    Returns:
        The exit code: 0 if the command succeeded; 1 if an audit could measure none of the parts
        that were asked for; 2 if the command refused its arguments, with one sentence on
        standard error; 130 if it was interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    commands = {command.name: command for command in COMMANDS}
    if not words or words[0] in HELP:
        known = [word for word in words[1:] if word in commands]
        print(commands[known[0]].help() if known else _overview())
        return GOOD if words else BAD_USE
    if words[0] == "--version":
        print(keras_infobottleneck.__version__)
        return GOOD
    name, *rest = words
    if name not in commands:
        expected = f"the command must be one of {', '.join(commands)}"
        return _refuse(PROGRAM, f"{expected}. Received: {name}")
    if any(word in HELP[:2] for word in rest):
        print(commands[name].help())
        return GOOD
    try:
        return commands[name](rest) or GOOD
    except (TypeError, ValueError, OSError) as error:
        return _refuse(f"{PROGRAM} {name}", str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _overview() -> str:
    """Usage and the list of commands."""
    width = max(len(command.name) for command in COMMANDS)
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND ... [flags]",
            "",
            "Constrain, measure and show the information in Keras networks.",
            "",
            "commands:",
            *(f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS),
            "",
            f"{PROGRAM} COMMAND --help shows the arguments and flags of a command.",
        ]
    )


def _refuse(who: str, sentence: str) -> int:
    """Prints a refusal to standard error and returns its exit code."""
    print(f"{who}: {' '.join(sentence.split())}", file=sys.stderr)
    return BAD_USE


if __name__ == "__main__":
    sys.exit(main())
