"""One network trained at one price after the other: rising prices, or each from the same start.

All prices are stages of one training, so that the network is traced once. A network whose weights
are shared by all examples hardly learns anything but at a low price, and is then followed upwards;
a memory is trained anew at every price, because followed upwards it forgets late.
"""

import keras
import numpy as np

from reproduction.frame.training import train
from reproduction.random_labels.codes import CODES

EPOCHS = 10  # of a stage; a kill loses one of them
NUM_DRAWS = 8
LAST_LEARNING_RATE = 0.03  # at the end of a stage, as a share of that at its start


def train_at_prices(model, code, examples, betas, *, updates, seed, checkpoint) -> dict:
    """Rows of what a compiled model learned at each price, and what it paid.

    Args:
        model: as built, untrained.
        code: name of its code.
        examples: its training and test examples.
        betas: prices of a nat in the weights, `weight_beta`.
        updates: of the weights at each price, about.
        seed: of the order of the examples and of the draws.
        checkpoint: where it goes on when killed.

    Returns:
        Lists over prices: train cross-entropy in nats and accuracy with drawn weights (what the
        objective counts), accuracy with mean weights, total nats in the weights, test accuracy
        with mean weights.
    """
    batch_size = min(CODES[code].batch_size, len(examples.x))
    steps = -(-len(examples.x) // batch_size)
    passes = max(1, round(updates / (EPOCHS * steps)))
    stages = _Stages(model, examples, betas, CODES[code].continues, seed)
    rate = CODES[code].learning_rate
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                rate, EPOCHS * passes * steps, alpha=LAST_LEARNING_RATE
            )
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=passes * steps,
    )
    history = train(
        model,
        examples.x,
        examples.y,
        epochs=EPOCHS * len(betas),
        batch_size=batch_size,
        passes=passes,
        seed=seed,
        checkpoint=checkpoint,
        callbacks=[stages],
    )
    rows = {name: history[name] for name in stages.NAMES}
    return {"betas": list(betas), **rows}


class _Stages(keras.callbacks.Callback):
    """Sets every stage to its start and price, and measures at its end.

    Measurements are added to the logs, of which the checkpoint keeps the history.
    """

    NAMES = ("crossentropy", "accuracy", "accuracy_of_means", "information", "test_accuracy")

    def __init__(self, network, examples, betas, continues, seed):
        super().__init__()
        self.examples, self.betas, self.seed = examples, betas, seed
        self.continues = continues
        self.start = [np.array(weight) for weight in network.get_weights()]

    def on_epoch_begin(self, epoch, logs=None):
        """Back to the start where a stage begins; the price of this epoch."""
        stage, epoch = divmod(epoch, EPOCHS)
        if epoch == 0:
            if stage == 0 or not self.continues:
                self.model.set_weights(self.start)
            for variable in self.model.optimizer.variables:  # all of Adam's start at zero
                variable.assign(keras.ops.zeros_like(variable))
        self.model.weight_beta = self.betas[stage]

    def on_epoch_end(self, epoch, logs=None):
        """Measure at the end of a stage."""
        if (epoch + 1) % EPOCHS:
            return
        x, y, x_test, y_test = self.examples
        logits = self.model.predict_samples(x, NUM_DRAWS, batch_size=1000, seed=self.seed)
        peak = logits.max(-1, keepdims=True)
        surprise = np.log(np.exp(logits - peak).sum(-1)) + peak[..., 0]
        surprise -= logits[:, np.arange(len(y)), y]
        values = (
            surprise.mean(dtype=np.float64),
            np.mean(logits.argmax(-1) == y),
            self._accuracy(x, y),
            self.model.weight_information(),
            self._accuracy(x_test, y_test),
        )
        logs.update({name: float(v) for name, v in zip(self.NAMES, values, strict=True)})

    def _accuracy(self, x, y):
        logits = self.model.predict(x, batch_size=1000, verbose=0)
        return np.mean(logits.argmax(-1) == y)
