"""What experiments share: runs that survive a kill, and one verdict for each claim.

An experiment is a list of runs, each a function from settings to a record of plain numbers, and a
function from the records to claims. `Experiment` keeps every finished record in the output folder,
so that a script that was killed goes on where it was, and ends with the same claims.
"""

import json
import os
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import script
from reproduction.frame.verdicts import FIELDS, OPTIONAL_FIELDS, VERDICTS


def read_settings(
    default: dict, smoke: dict, full: dict | None = None, **given: Any
) -> dict[str, Any]:
    """All that the records of a script depend on: data, seed, sizes, and what flags were given."""
    if flags.FLAGS.data:
        given["data"] = os.path.basename(flags.FLAGS.data)
    is_full = full is not None and flags.FLAGS.full
    return {
        "data": "digits",
        "seed": flags.FLAGS.seed,
        **default,
        **(smoke if flags.FLAGS.smoke else full if is_full else {}),
        **{name: value for name, value in given.items() if value is not None},
    }


class Experiment:
    """Records in a folder, each there whole or not at all.

    Args:
        output_dir: the folder; made if it is not there.
        settings: all that the records depend on, as plain numbers and strings.

    Raises:
        ValueError: the folder cannot be made or written to, or holds a run with other settings or
            data, or records that are no run's.
    """

    def __init__(self, output_dir: str, settings: dict[str, Any]):
        self.folder = Path(output_dir)
        self.settings = json.loads(json.dumps(settings))
        if "data" in flags.FLAGS and flags.FLAGS.data:
            # Another file of the same name is another run.
            self.settings["data_crc32"] = zlib.crc32(Path(flags.FLAGS.data).read_bytes())
        self.times: dict[str, dict[str, float]] = {}
        try:
            self._open(starts_over=flags.FLAGS.is_parsed() and not flags.FLAGS.resume)
        except OSError as error:
            raise ValueError(
                "--output_dir must be a folder that can be written to. "
                f"Received: {output_dir} ({error.strerror})"
            ) from None

    def _open(self, starts_over: bool) -> None:
        """Make the folder, or see that what it holds is of these settings or of nobody."""
        records, found = self.folder / "records", self.folder / "settings.json"
        if not found.exists() and records.is_dir() and any(records.iterdir()):
            raise ValueError(
                "--output_dir must be new or hold a run; what is in its folder records is no "
                f"run's. Received: {self.folder}"
            )
        if starts_over:
            if records.exists():
                shutil.rmtree(records)
        elif found.exists() and (kept := _read(found)) != self.settings:
            raise ValueError(
                "--output_dir must be new or hold a run with the same settings; name another, or "
                "start over with --noresume. "
                f"Received: {self.folder} with {kept}"
            )
        records.mkdir(parents=True, exist_ok=True)
        self.write("settings.json", self.settings)

    def run(self, name: str, compute: Callable[..., dict[str, Any]], *arguments: Any) -> dict:
        """The record `name`: read if it is there, otherwise `compute(*arguments)`, and kept."""
        path = self.folder / "records" / f"{name}.json"
        done_before = path.exists()
        if not done_before:
            start = time.perf_counter(), time.process_time()
            record = compute(*arguments)
            times = {
                "seconds": time.perf_counter() - start[0],
                "core_seconds": time.process_time() - start[1],
            }
            self.write(f"records/{name}.json", {**times, "record": record})
            # Only needed until the record is there.
            (self.folder / "records" / f"{name}.npz").unlink(missing_ok=True)
        kept = json.loads(path.read_text())
        record = kept.pop("record")
        self.times[name] = kept
        how = "done before" if done_before else f"{kept['seconds']:.1f} s"
        print(f"{name}: {how}", flush=True)
        return record

    def checkpoint(self, name: str) -> kib.callbacks.Checkpoint:
        """Where training inside of the run `name` goes on."""
        return kib.callbacks.Checkpoint(os.fspath(self.folder / "records" / f"{name}.npz"))

    def conclude(
        self, titles: dict[str, str], judged: dict[str, dict[str, Any]], **more: Any
    ) -> None:
        """Write `result.json`: settings, command, minutes, a verdict for each claim, and `more`.

        Args:
            titles: what is claimed, by the number of the claim.
            judged: the other `FIELDS` of each claim that was judged, and `OPTIONAL_FIELDS` of it.
        """
        claims = {number: {"claim": titles[number], **claim} for number, claim in judged.items()}
        for number, claim in claims.items():
            fields = set(claim) - set(OPTIONAL_FIELDS)
            if fields != set(FIELDS) or claim["verdict"] not in VERDICTS:
                raise ValueError(
                    f"A claim must have the fields {FIELDS} and one of the verdicts {VERDICTS}. "
                    f"Received: {number} with {claim}"
                )
        result = {
            "command": script.command(),
            **self.minutes(),
            "settings": self.settings,
            "claims": dict(sorted(claims.items())),
            **more,
        }
        if flags.FLAGS.smoke:
            result["smoke"] = True
        self.write("result.json", result)
        counts = ((v, sum(c["verdict"] == v for c in claims.values())) for v in VERDICTS)
        table = ", ".join(f"{verdict}: {count}" for verdict, count in counts if count)
        for number, claim in result["claims"].items():
            print(f"{number} {claim['verdict']}: {claim['measured']}")
        if flags.FLAGS.smoke:
            table = "of a smoke run, whose sizes are too small for any verdict: " + table
        print(f"RESULT {table} -> {self.folder}")

    def minutes(self) -> dict[str, float]:
        """What the records took on the clock, and of all cores together if every record knows."""
        units = {"minutes": "seconds", "core_minutes": "core_seconds"}
        return {
            total: round(sum(times[unit] for times in self.times.values()) / 60, 2)
            for total, unit in units.items()
            if all(unit in times for times in self.times.values())
        }

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file as a whole or not at all."""
        script.write_json(self.folder / name, content)


def _read(path: Path) -> Any:
    """What a JSON file says, or that it is none."""
    try:
        return json.loads(path.read_text())
    except ValueError:
        return "a settings.json that is no run's"
