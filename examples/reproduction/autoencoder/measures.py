"""What the experiment measures of a trained autoencoder: its code, a control, pictures."""

import numpy as np

from reproduction.autoencoder.setup import decode

SHOWN = 8  # images rebuilt and sampled
TRAVERSED = 4  # units
STEPS = np.linspace(-2.0, 2.0, 7)  # of a traversal, in standard deviations of the prior


def encode(model, x) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of ``log z``, a draw of it, and nats by unit, each ``[examples, units]``."""
    hidden, code = model.get_layer("encoder")(x), model.get_layer("code")
    draw = code(hidden, training=True)
    return np.log(code(hidden)), np.log(draw), code.information(hidden).numpy()


def with_noise(means, share, seed) -> np.ndarray:
    """Independent noise added to every unit until it is this share of the unit's variance."""
    units = (means - means.mean(axis=0)) / means.std(axis=0)
    noise = np.random.default_rng(seed).standard_normal(units.shape)
    return np.sqrt(1 - share) * units + np.sqrt(share) * noise


def pictures(model, x, means, nats, seed) -> dict[str, list]:
    """Rows of images as grey levels 0 to 255, ``[rows, columns, pixels]``."""
    code = model.get_layer("code")
    loc, scale = float(code.prior_loc), float(np.exp(code.prior_log_scale))
    noise = np.random.default_rng(seed).standard_normal((SHOWN, means.shape[1]))
    traversals = np.repeat(means[None, :1], TRAVERSED, 0).repeat(len(STEPS), 1)
    for row, unit in zip(traversals, np.argsort(-nats.mean(axis=0)), strict=False):
        row[:, unit] = loc + scale * STEPS
    rows = {
        "images": x[None, :SHOWN],
        "rebuilt": decode(model, means[:SHOWN])[None],
        "samples": decode(model, (loc + scale * noise).astype("float32"))[None],
        "traversals": [decode(model, row) for row in traversals],
    }
    return {name: np.rint(255 * np.array(row)).astype(int).tolist() for name, row in rows.items()}
