"""Networks of the experiment and their training, with information at a price."""

import keras

import keras_infobottleneck as kib
from reproduction.frame import all_cnn, training

WARM_UP = 0.5  # share of the epochs over which beta rises: first learn, then forget


def noisy_network(settings, images, task, prior, seed, beta):
    """An all-convolutional network with Information Dropout, compiled."""
    keras.utils.set_random_seed(seed)
    model = all_cnn.build(
        images.x_train.shape[1:],
        settings["blocks"],
        settings["tail"],
        images.num_classes,
        noise=prior,
        strength=beta / len(images.x_train),
        max_alpha=1.0,
    )
    return _compiled(settings, task, model)


def perceptron(settings, images, seed, beta):
    """A compiled perceptron with log-normal noise on its weights, and it up to its last units."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input(images.x_train.shape[1:])
    x = keras.layers.Flatten()(x)
    for units in settings["units"]:
        x = _noisy_dense(settings, units, "relu")(x)
    hidden = keras.Model(inputs, x)
    logits = _noisy_dense(settings, images.num_classes, None)(x)
    options = {"num_examples": len(images.x_train), "weight_beta": beta}
    model = kib.InformationBottleneckModel(inputs, logits, **options)
    hidden = kib.InformationBottleneckModel(hidden, **options)
    return _compiled(settings, "occlusion", model), hidden


def _noisy_dense(settings, units, activation):
    return kib.layers.VariationalWeights(
        keras.layers.Dense(units, activation=activation),
        posterior="log_normal",
        max_variance=settings["max_variance"],
    )


def _compiled(settings, task, model):
    """The model with the optimizer of its task."""
    steps = -(-settings[task]["num_examples"] // settings[task]["batch_size"])
    published = {"rate": 1e-2, "falls_at": (3 / 8, 3 / 4)} if settings["optimizer"] == "sgd" else {}
    optimizer = training.optimizer(settings[task]["epochs"], steps, **published)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], steps_per_execution=steps)
    return model


def train(settings, model, images, task, seed, beta, checkpoint):
    """Train with the price of information rising, then measure batch statistics without noise."""
    epochs = settings[task]["epochs"]
    noisy = [layer for layer in model.layers if isinstance(layer, kib.layers.InformationDropout)]
    prices = [(layer.beta, beta / len(images.x_train)) for layer in noisy]
    if not noisy:
        prices = [(model.weight_beta, beta)]
    rises = [
        kib.callbacks.BetaSchedule(price, stop=stop, num_epochs=int(WARM_UP * epochs))
        for price, stop in prices
    ]
    training.train(
        model,
        images.x_train,
        images.y_train,
        epochs=epochs,
        batch_size=settings[task]["batch_size"],
        seed=seed,
        checkpoint=checkpoint,
        callbacks=rises,
    )
    if noisy:
        kib.recalibrate_batch_normalization(model, images.x_train, batch_size=500)
