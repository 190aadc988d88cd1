"""Judge the kept results of experiments again, from the records and numbers that they hold.

For when a criterion changes: no network is trained. Each ``claims.py`` with a ``judge_kept`` says
what a kept result gives now. From the root of the tree:

    python tools/judge_again.py
"""

import importlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))  # where `reproduction` is found

from reproduction.frame.verdicts import VERDICTS  # noqa: E402


def judge_again(root: Path = ROOT) -> dict[Path, dict]:
    """By file, its whole content with the claims as they are judged now."""
    judged = {}
    for module in sorted((root / "examples" / "reproduction").glob("*/claims.py")):
        claims = importlib.import_module(f"reproduction.{module.parent.name}.claims")
        if not hasattr(claims, "judge_kept"):
            continue
        for path in sorted((root / "docs" / "results").glob(f"{module.parent.name}_*.json")):
            result = json.loads(path.read_text("utf-8"))
            judged[path] = result | {"claims": claims.judge_kept(result)}
    return judged


if __name__ == "__main__":
    for path, result in judge_again().items():
        before = json.loads(path.read_text("utf-8"))["claims"]
        for number, claim in result["claims"].items():
            if claim["verdict"] not in VERDICTS:
                sys.exit(f"{path.name}: {number} has no verdict of today: {claim['verdict']}")
            if claim["verdict"] != before[number]["verdict"]:
                print(f"{path.name}: {number} {before[number]['verdict']} -> {claim['verdict']}")
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
