"""What curvature costs where the head is most of the network: a small decoder, many classes.

Every time is a multiple of a gradient pass with its loop over batches compiled, on one thread, the
best of several rounds in which the quantities take turns.

  python benchmarks/large_vocabulary.py
  python benchmarks/large_vocabulary.py --classes 50257 --width 256 --num_examples 16
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags
from fisher import best_times, gradient_loop, on_one_thread, report

from keras_infobottleneck.estimators import fisher_information

FLAGS = flags.FLAGS
flags.DEFINE_integer("classes", 20_000, "Words that there are.", 2)
flags.DEFINE_integer("width", 64, "Numbers of which a word is made in the network.", 2)
flags.DEFINE_integer("blocks", 2, "Blocks of attention and two dense layers.", 1)
flags.DEFINE_integer("length", 32, "Words of an example.", 1)
flags.DEFINE_integer("max_side", 4096, "Widest Kronecker factor that is kept whole.", 1)
FLAGS.set_default("num_examples", 64)
FLAGS.set_default("batch_size", 16)
FLAGS.set_default("rounds", 3)


def decoder():
    """Words in, logits of the next word at every position out."""
    layers = keras.layers
    words = keras.Input((FLAGS.length,), dtype="int32")
    x = layers.Embedding(FLAGS.classes, FLAGS.width)(words)
    for _ in range(FLAGS.blocks):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, FLAGS.width // 2)(y, y, use_causal_mask=True)
        x = layers.Add()([x, y])
        y = layers.Dense(4 * FLAGS.width, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(FLAGS.width)(y)])
    return keras.Model(words, layers.Dense(FLAGS.classes, name="head")(x))


def main(_):
    """Measures and prints."""
    on_one_thread()
    model, rng = decoder(), np.random.default_rng(0)
    count = FLAGS.num_examples // FLAGS.batch_size * FLAGS.batch_size
    x, y = (rng.integers(FLAGS.classes, size=(count, FLAGS.length)) for _ in range(2))
    options = {"likelihood": "categorical", "batch_size": FLAGS.batch_size, "seed": 0}

    def fisher(structure, labels, **more):
        options_here = {**options, "structure": structure, "labels": labels, **more}
        return lambda: fisher_information(model, (x, y), **options_here)

    times = best_times(
        {
            "gradient": gradient_loop(model, x, y),
            "diagonal, empirical": fisher("diagonal", "empirical"),
            "diagonal, sampled": fisher("diagonal", "sampled"),
            "kronecker, sampled": fisher("kronecker", "sampled", max_side=FLAGS.max_side),
        },
        FLAGS.rounds,
    )
    plain = times.pop("gradient")
    result = {"weights": model.count_params(), "gradient, seconds": plain}
    report({**result, **{name: seconds / plain for name, seconds in times.items()}})


if __name__ == "__main__":
    app.run(main)
