"""A whole report, of the network of the guide on audits, made when the site is built."""

import pathlib
import tempfile

import keras
from sklearn.datasets import load_digits

import keras_infobottleneck as kib


def html() -> str:
    """The page that `to_html` writes."""
    keras.utils.set_random_seed(0)
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu", name="wide"),
            keras.layers.Dense(8, activation="relu", name="narrow"),
            keras.layers.Dense(10, name="logits"),
        ],
        name="digits",
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss, metrics=["accuracy"])
    model.fit(x[:1000], y[:1000], batch_size=50, epochs=30, verbose=0)
    report = kib.audit(model, (x[:1000], y[:1000]))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "report.html"
        report.to_html(path)
        return path.read_text("utf-8")
