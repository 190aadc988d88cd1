"""The identities of the papers, computed.

Claims 1-i and 1-j of "Emergence of Invariance and Disentanglement" (Achille & Soatto, 2018), 2-e
and 2-f of "Information Dropout" (2018), 3-a to 3-d and 3-g of "Where is the Information in a Deep
Neural Network?" (Achille, Paolini & Soatto, 2019), 4-c of "Resolution and relevance trade-offs"
(Song, Marsili & Jo, 2018). Expected: every one is reproduced, the third paper's in its corrected
form. Run time: seconds.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

from absl import flags

from reproduction.frame import experiment, script
from reproduction.identities.claims import CLAIMS, judge
from reproduction.identities.measures import MEASURES
from reproduction.identities.measures_of_weights import MEASURES as MEASURES_OF_WEIGHTS

FLAGS = flags.FLAGS
script.define_flags("outputs/identities", data=False, resume=True)


def run():
    """Compute every identity, judge."""
    FLAGS["smoke"].unparse()  # accepted as by every script; the whole takes seconds
    runs = experiment.Experiment(FLAGS.output_dir, {})
    measures = dict(sorted((MEASURES | MEASURES_OF_WEIGHTS).items()))
    found = {
        number: runs.run(number, lambda measure=measure: measure()._asdict())
        for number, measure in measures.items()
    }
    runs.conclude(CLAIMS, judge(found))


if __name__ == "__main__":
    script.main(run)
