"""The identities of the papers, computed.

Claims 1-i and 1-j of "Emergence of Invariance and Disentanglement" (Achille & Soatto, 2018), 2-e
and 2-f of "Information Dropout" (2018), 3-a to 3-d and 3-g of "Where is the Information in a Deep
Neural Network?" (Achille, Paolini & Soatto, 2019), 4-c of "Resolution and relevance trade-offs"
(Song, Marsili & Jo, 2018). Expected: every one is reproduced, the third paper's in its corrected
form. Run time: seconds.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", "outputs/identities", "Where result.json is written.")
flags.DEFINE_bool("smoke", False, "Accepted as by every example; the whole run takes seconds.")


def main(argv):
    """Compute every identity, print a table, write results."""
    if len(argv) > 1:
        sys.exit(f"identities/run.py: takes flags only. Received: {argv[1:]}")
    output = Path(FLAGS.output_dir)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(
            "identities/run.py: --output_dir must be a folder that can be written to. "
            f"Received: {output} ({error.strerror})"
        )
    start = time.monotonic(), time.process_time()
    from reproduction.identities import measures as of_distributions
    from reproduction.identities import measures_of_weights as of_weights

    parts = (of_distributions, of_weights)
    measures = {name: measure for part in parts for name, measure in part.CLAIMS.items()}
    criteria = {name: text for part in parts for name, text in part.CRITERIA.items()}
    claims = {}
    for name, measure in sorted(measures.items()):
        found = measure()
        verdict = "reproduced" if found.holds else "not reproduced"
        claims[name] = {
            "paper": found.paper,
            "claim": found.claim,
            "setting": found.setting,
            "measured": found.measured,
            "verdict": verdict,
            "criterion": criteria[name],
            "numbers": found.numbers,
        }
        print(f"{name}  {verdict}: {found.measured}")
    report = {
        "command": "python examples/reproduction/identities/run.py",
        "minutes": round((time.monotonic() - start[0]) / 60, 2),
        "core_minutes": round((time.process_time() - start[1]) / 60, 2),
        "claims": claims,
    }
    (output / "result.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    reproduced = sum(claim["verdict"] == "reproduced" for claim in claims.values())
    print(f"RESULT {reproduced} of {len(claims)} identities reproduced")


if __name__ == "__main__":
    app.run(main)
