"""What the rule of recurrent layers saves: curvature and effective information, by it and without.

Of a long short-term memory and of a gated recurrent unit, in plain gradient passes over the same
examples, on one thread, the best of several rounds in which the quantities take turns. Without a
rule the same cell runs inside `StackedRNNCells`, of which there is none: every example then takes
a backward pass of its own, in a compiled loop.

  python benchmarks/recurrent.py --output docs/results/recurrent.json
"""

import os
import shlex
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags
from fisher import best_times, gradient_pass, on_one_thread, report

from keras_infobottleneck.estimators import effective_information, fisher_information

FLAGS = flags.FLAGS  # those of `fisher.py` too
flags.DEFINE_integer("units", 64, "Units of the recurrent layer.", 1)
flags.DEFINE_integer("steps", 40, "Time steps.", 1)
flags.DEFINE_integer("width", 36, "Inputs of a time step.", 1)
flags.DEFINE_integer("few", 5, "Examples of the effective information.", 1)
flags.DEFINE_multi_enum("cell", ["lstm", "gru"], ["lstm", "gru"], "Cells.")
CELLS = {"lstm": keras.layers.LSTMCell, "gru": keras.layers.GRUCell}
RULES = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def network(cell, by_rule):
    """A recurrent layer of one cell, and ten classes; the same weights either way."""
    layer = RULES[cell](FLAGS.units, name="hidden")
    if not by_rule:
        cells = keras.layers.StackedRNNCells([CELLS[cell](FLAGS.units)])
        layer = keras.layers.RNN(cells, name="hidden")
    inputs = keras.Input((FLAGS.steps, FLAGS.width))
    model = keras.Model(inputs, keras.layers.Dense(10)(layer(inputs)))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.1, size=v.shape) for v in model.get_weights()])
    return model


def quantities(model, x, y):
    """Name to a function that runs one pass over the examples."""
    options = {"likelihood": "categorical", "batch_size": FLAGS.batch_size}

    def diagonal(labels):
        return lambda: fisher_information(model, (x, y), labels=labels, seed=0, **options)

    fisher = diagonal("sampled")()

    def effective():
        few = x[: FLAGS.few]
        return effective_information(
            model, few, layer="hidden", fisher=fisher, beta=1 / len(x), prior_scale=1.0
        )

    return {
        "diagonal, empirical": diagonal("empirical"),
        "diagonal, sampled": diagonal("sampled"),
        "effective information": effective,
    }


def compare(cell, x, y):
    """Multiples of a gradient pass over as many examples, and whether both ways agree."""
    found, results = {}, {}
    for way, by_rule in {"by the rule": True, "example by example": False}.items():
        model = network(cell, by_rule)
        runs = {"gradient": gradient_pass(model, x, y), **quantities(model, x, y)}
        results[way] = {name: run() for name, run in runs.items()}
        times = best_times(runs, FLAGS.rounds)
        # Seconds of an example, in those that its gradient takes as one of a batch.
        numbers = dict.fromkeys(runs, len(x)) | {"effective information": FLAGS.few}
        each = {name: seconds / numbers[name] for name, seconds in times.items()}
        own = each.pop("gradient")
        # Both ways in one unit: the gradient of the network with the rule, which comes first.
        unit = found["by the rule"]["seconds of a gradient"] if found else own
        found[way] = {"seconds of a gradient": own}
        found[way] |= {name: seconds / unit for name, seconds in each.items()}
    diagonals = [
        np.concatenate([v.ravel() for v in result["diagonal, empirical"].diagonal()])
        for result in results.values()
    ]
    found["largest difference of the diagonals"] = float(
        np.abs(diagonals[0] - diagonals[1]).max() / diagonals[1].max()
    )
    nats = [result["effective information"].nats for result in results.values()]
    found["difference of the nats"] = float(abs(nats[0] - nats[1]) / nats[1])
    return found


def main(_):
    """Measures and prints."""
    on_one_thread()
    rng = np.random.default_rng(0)
    count = FLAGS.num_examples // FLAGS.batch_size * FLAGS.batch_size
    x = rng.normal(size=(count, FLAGS.steps, FLAGS.width)).astype("float32")
    y = rng.integers(0, 10, count)
    names = ("units", "steps", "width", "few", "num_examples", "batch_size", "rounds")
    about = {
        "command": shlex.join(["python", "benchmarks/recurrent.py", *sys.argv[1:]]),
        "settings": {name: FLAGS[name].value for name in names},
    }
    report(about | {cell: compare(cell, x, y) for cell in FLAGS.cell})


if __name__ == "__main__":
    app.run(main)
