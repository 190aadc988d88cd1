"""Run the code of documentation pages, and check or rewrite the output that they show.

All ``python`` blocks of a page run from top to bottom in one namespace, in an empty folder. A
``text`` block directly after a ``python`` block is what that block printed. A block that cannot run
on every machine says ``python skip`` and why in the words behind it. Figures that a block saves are
kept in ``docs/figures/guides`` if the page shows them.

A ``bash`` block whose lines are all calls of ``kib`` runs too, in the same process and folder; what
is shown is standard output, or its first lines where a call ends in ``| head -n 12``.

    python tools/run_documentation.py docs/guides/uncertainty.md            # check
    python tools/run_documentation.py --write docs/guides/uncertainty.md    # rewrite the outputs

Words and lines must be those of the page exactly. Numbers depend on the processor: kernels sum in
another order, a training amplifies the difference, and a later digit changes. A number therefore
agrees within ``TOLERANCE`` of its size and one unit of its last digit; a page whose trainings are
short enough to amplify more asks for more in its head (``tolerance: 0.2``), with the reason.
"""

import contextlib
import dataclasses
import io
import os
import pathlib
import re
import shlex
import shutil
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

from absl import app, flags

ROOT = pathlib.Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures" / "guides"
TOLERANCE = 0.05  # of a number's size
FENCE = re.compile(r"^```(?P<info>.*)$")
CALL = re.compile(r"kib (?P<words>.*?)(?: \| head -n (?P<lines>\d+))?")
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d[\d,]*)(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])", re.IGNORECASE)


@dataclasses.dataclass
class Block:
    """A piece of code on a page, and the output that stands behind it.

    `first_line` and `last_line` are the line numbers, from 0, of the fences of the code; `shown`
    is the output and `shown_lines` the lines of its fences. Both are None if there is no output.
    """

    code: str
    first_line: int
    last_line: int
    language: str
    skipped: bool = False
    shown: str | None = None
    shown_lines: tuple[int, int] | None = None


def head_of(text: str) -> dict[str, str]:
    """Settings at the top of a page: between lines `---`, or in a comment where those are shown."""
    found = re.match(r"(?:---|<!--)\n(.*?)\n(?:---|-->)\n", text, re.DOTALL)
    lines = found.group(1).splitlines() if found else []
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def tolerance_of(text: str) -> float:
    """Relative tolerance of the numbers on a page."""
    return float(head_of(text).get("tolerance", str(TOLERANCE)).split("#")[0])


def blocks_of(text: str) -> list[Block]:
    """All blocks of a text in Markdown that run, in order."""
    fences, opened = [], None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if fence is None:
            continue
        if opened is None:
            opened = (number, fence["info"].strip())
        else:
            fences.append((*opened, number))
            opened = None
    if opened is not None:
        raise ValueError(f"A block that starts on line {opened[0] + 1} does not end")
    blocks: list[Block] = []
    for first, info, last in fences:
        content = "\n".join(lines[first + 1 : last])
        words = info.split()
        runs = words[:1] == ["python"] or (
            words[:1] == ["bash"] and all(map(CALL.fullmatch, content.splitlines()))
        )
        if runs:
            skipped = words[1:2] == ["skip"]
            if skipped and len(words) < 4:
                raise ValueError(f"Line {first + 1}: a block that is skipped says why")
            blocks.append(Block(content, first, last, words[0], skipped))
        elif words == ["text"] and blocks and not any(lines[blocks[-1].last_line + 1 : first]):
            blocks[-1].shown, blocks[-1].shown_lines = content, (first, last)
    return blocks


def outputs_of(blocks: list[Block], name: str) -> list[str]:
    """What each block prints, run in order in one namespace, in the folder that one is in."""
    namespace = {"__name__": "__main__"}
    outputs = []
    for block in blocks:
        printed = io.StringIO()
        if block.skipped:
            pass
        elif block.language == "bash":
            with contextlib.redirect_stdout(printed):
                call_commands(block.code)
        else:
            # Empty lines before the code give errors the line numbers of the page.
            source = "\n" * (block.first_line + 1) + block.code
            with contextlib.redirect_stdout(printed):
                exec(compile(source, name, "exec"), namespace)
        lines = printed.getvalue().splitlines()
        outputs.append("\n".join(line.rstrip() for line in lines).strip("\n"))
    return outputs


def call_commands(code: str) -> None:
    """Call `kib` for each line, as a shell does, but in this process: it starts once."""
    from keras_infobottleneck.__main__ import main

    for line in code.splitlines():
        call = CALL.fullmatch(line)
        printed, said = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            exit_code = main(shlex.split(call["words"]))
        if exit_code:
            raise ValueError(f"{line!r} ended with {exit_code}: {said.getvalue()}")
        lines = printed.getvalue().splitlines()
        print("\n".join(lines[: int(call["lines"]) if call["lines"] else None]))


@contextlib.contextmanager
def empty_folder():
    """Work in a temporary folder, and come back."""
    before = pathlib.Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield pathlib.Path(folder)
        finally:
            os.chdir(before)


def words_of(text: str) -> list[str]:
    """Lines with `#` for each number and single spaces: the width of a number moves columns."""
    return [" ".join(NUMBER.sub("#", line).split()) for line in text.strip().splitlines()]


def disagreement(shown: str, printed: str, tolerance: float) -> str | None:
    """The first difference between an output on a page and what was printed, or None."""
    ours, theirs = words_of(shown), words_of(printed)
    if ours != theirs:
        pairs = [pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]]
        place = f"{pairs[0][0]!r} became {pairs[0][1]!r}" if pairs else "the number of lines"
        return f"words differ: {place}"
    for a, b in zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True):
        first, second = (float(number.replace(",", "")) for number in (a, b))
        allowed = tolerance * max(abs(first), abs(second)) + last_digit(a)
        if abs(first - second) > allowed * (1 + 1e-9):
            return f"{a} became {b}, more than {tolerance:.0%} and a unit of the last digit apart"
    return None


def last_digit(number: str) -> float:
    """One unit of the last digit of a number as it is written; whole numbers have none to spare."""
    mantissa, _, exponent = number.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    if not decimals and not exponent:
        return 0.0
    return 10.0 ** (int(exponent or 0) - decimals)


def check(text: str, name: str) -> list[str]:
    """Run a page in an empty folder; one sentence for each output that is not what it shows."""
    blocks, tolerance = blocks_of(text), tolerance_of(text)
    with empty_folder():
        outputs = outputs_of(blocks, name)
    found = []
    for block, printed in zip(blocks, outputs, strict=True):
        where = f"{name}, line {block.first_line + 1}"
        if block.skipped:
            continue
        if block.shown is None:
            if printed:
                found.append(f"{where}: prints what the page does not show:\n{printed}")
        elif what := disagreement(block.shown, printed, tolerance):
            found.append(f"{where}: {what}. Printed:\n{printed}")
    return found


def rewritten(text: str, name: str) -> str:
    """The page with the outputs that its code prints now; figures it shows are kept."""
    blocks = blocks_of(text)
    with empty_folder() as folder:
        outputs = outputs_of(blocks, name)
        for figure in folder.glob("*.png"):
            if f"figures/guides/{figure.name}" in text:
                FIGURES.mkdir(parents=True, exist_ok=True)
                shutil.copy(figure, FIGURES)
    lines = text.splitlines()
    for block, printed in reversed(list(zip(blocks, outputs, strict=True))):
        if block.skipped:
            continue
        shown = ["```text", *printed.splitlines(), "```"] if printed else []
        if block.shown_lines is None:
            lines[block.last_line + 1 : block.last_line + 1] = ["", *shown] if shown else []
        else:
            first, last = block.shown_lines
            lines[first : last + 1] = shown
    return "\n".join(lines) + "\n"


def main(arguments):
    """Check or rewrite the pages that are named."""
    import keras

    failed = False
    for name in arguments[1:]:
        path = pathlib.Path(name)
        text = path.read_text("utf-8")
        keras.backend.clear_session()
        start = time.process_time()
        if FLAGS.write:
            path.write_text(rewritten(text, name), "utf-8")
        else:
            for sentence in check(text, name):
                failed = True
                print(sentence)
        print(f"{name}: {time.process_time() - start:.1f} s of processor time", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    FLAGS = flags.FLAGS
    flags.DEFINE_bool("write", False, "Rewrite the outputs in the pages instead of checking them.")
    sys.path.insert(0, str(ROOT))
    app.run(main)
