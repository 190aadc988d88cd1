"""Algorithmic complexity of weights (QuBD) through learning, overfitting and grokking.

Bakhtiarifard et al. (2026), arXiv 2605.15551. Two experiments: ``budgets`` trains one MLP from one
initial state on growing shares of the data (their Fig 4, with digits or MNIST in place of
FashionMNIST), under three regimens: the published one (101 epochs, weight decay as a term of the
loss), the same with an equal number of updates for every budget, and that without weight decay.
``grokking`` learns addition modulo ``--modulus`` far past fitting, with and without weight decay
(their Fig 5). Every number stands beside that of the model's own shuffled weights.

Expected: one verdict for each of the claims 5-a to 5-h in ``result.json``, a figure beside it.
Takes some 10 minutes on two cores; ``--smoke`` half a minute. Killed and started again with the
same ``--output_dir``, it goes on where it was and ends with the same result.
"""

import json
import os
import time
from math import gcd
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from weight_complexity_claims import judge
from weight_complexity_figure import plot
from weight_complexity_setup import build_adder, build_mlp, load_data

import keras_infobottleneck as kib

_TASK = flags.DEFINE_enum("task", "all", ["all", "budgets", "grokking"], "What to run.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "outputs/weight_complexity", "Where results go.")
_DATA = flags.DEFINE_string(
    "data", None, "File .npz with x_train, y_train, x_test, y_test; digits of scikit-learn if none."
)
_MAX_EXAMPLES = flags.DEFINE_integer("max_examples", 10_000, "Training examples used at most.")
_BUDGETS = flags.DEFINE_list("budgets", ["100", "200", "500", "1000", "all"], "Training examples.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Repeats, with other subsets and orders.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 101, "Epochs of the largest budget.", lower_bound=1)
_WIDTH = flags.DEFINE_float("width", 0.5, "Scale of the hidden layers 1024, 512 and 256.")
_MODULUS = flags.DEFINE_integer("modulus", 47, "Modulus of the addition; published: 97.")
_GROK_WIDTH = flags.DEFINE_integer("grok_width", 128, "Embedding and hidden width; published: 512.")
_GROK_UPDATES = flags.DEFINE_integer("grok_updates", 10_000, "Updates; published: 11,000.")
_SMOKE = flags.DEFINE_bool("smoke", False, "Tiny sizes: shows that everything runs.")

BATCH_SIZE = 128
CHECKPOINTS = 20
REGIMENS = ("published", "equal_updates", "no_decay")
PTQ_BITS = range(1, 9)


def main(argv):
    """Run what is missing, then judge."""
    del argv
    tf.config.experimental.enable_op_determinism()
    settings = read_settings()
    output_dir = Path(_OUTPUT_DIR.value)
    check_budgets(settings)
    claim_directory(output_dir, settings)
    jobs = planned_jobs(settings)
    started = time.time()
    for index, (path, function, arguments) in enumerate(jobs):
        path = output_dir / path
        if path.exists():
            print(f"[{index + 1}/{len(jobs)}] {path.stem}: done before", flush=True)
            continue
        record = function(settings, path, **arguments)
        write_json(path, record)
        print(
            f"[{index + 1}/{len(jobs)}] {path.stem}: test accuracy {record['test_accuracy']:.3f}, "
            f"complexity {record['ratio']:.4f} of initial, {record['shuffled_ratio']:.4f} of "
            f"shuffled; {time.time() - started:.0f} s",
            flush=True,
        )
    records = [json.loads((output_dir / path).read_text()) for path, _, _ in jobs]
    claims = judge(records)
    write_json(output_dir / "result.json", {"settings": settings, "claims": claims})
    plot(records, output_dir / "weight_complexity.png")
    counts = {
        verdict: sum(claim["verdict"] == verdict for claim in claims.values())
        for verdict in ("reproduced", "partly", "not reproduced", "not run")
    }
    print("RESULT " + ", ".join(f"{v}: {k}" for k, v in counts.items()) + f" -> {output_dir}")


def read_settings() -> dict:
    """All that the result depends on, from the flags."""
    smoke = _SMOKE.value
    return {
        "task": _TASK.value,
        "data": _DATA.value and Path(_DATA.value).name,
        "max_examples": _MAX_EXAMPLES.value,
        "budgets": ["40", "80"] if smoke else _BUDGETS.value,
        "seeds": 1 if smoke else _SEEDS.value,
        "epochs": 4 if smoke else _EPOCHS.value,
        "width": 0.0625 if smoke else _WIDTH.value,
        "modulus": 11 if smoke else _MODULUS.value,
        "grok_width": 16 if smoke else _GROK_WIDTH.value,
        "grok_updates": 400 if smoke else _GROK_UPDATES.value,
    }


def check_budgets(settings: dict) -> None:
    """Refuse budgets that are no numbers, too large for the data, or the same twice."""
    examples = len(load_data(_DATA.value, settings["max_examples"])[0])
    budgets = settings["budgets"]
    good = all(b == "all" or (b.isdigit() and 0 < int(b) <= examples) for b in budgets)
    if not good or not budgets or len(set(budgets)) < len(budgets):
        raise ValueError(
            f"budgets must be different numbers up to the {examples} training examples, or 'all'. "
            f"Received: budgets={budgets}"
        )


def planned_jobs(settings: dict) -> list[tuple]:
    """File, function and arguments of every run."""
    jobs = []
    if settings["task"] in ("all", "budgets"):
        jobs += [
            (
                f"budgets/{regimen}-{budget}-{seed}.json",
                run_budget,
                {"regimen": regimen, "budget": budget, "seed": seed},
            )
            for regimen in REGIMENS
            for budget in settings["budgets"]
            for seed in range(settings["seeds"])
        ]
    if settings["task"] in ("all", "grokking"):
        jobs += [
            (
                f"grokking/decay_{decay:g}-{seed}.json",
                run_grokking,
                {"weight_decay": decay, "seed": seed},
            )
            for seed in range(settings["seeds"])
            for decay in (1.0, 0.0)
        ]
    return jobs


def run_budget(settings: dict, path: Path, *, regimen: str, budget: str, seed: int) -> dict:
    """Train on ``budget`` examples and measure on the way and at the end."""
    del path
    x, y, x_test, y_test = load_data(_DATA.value, settings["max_examples"])
    largest = max(len(x) if b == "all" else int(b) for b in settings["budgets"])
    chosen = np.random.default_rng(seed).permutation(len(x))
    chosen = chosen[: len(x) if budget == "all" else int(budget)]
    x, y = x[chosen], y[chosen]
    examples = len(x) if regimen == "published" else largest
    updates = settings["epochs"] * -(-examples // BATCH_SIZE)
    checkpoints = min(CHECKPOINTS, settings["epochs"])
    steps = updates // checkpoints
    keras.utils.set_random_seed(0)  # every run starts from the same weights
    model = build_mlp(
        settings["width"],
        x.shape[1],
        decay=regimen != "no_decay",
        steps_per_execution=gcd(steps, 10),  # Keras rounds an epoch up to whole executions
    )
    start = kib.estimators.quantized_complexity(model)
    start_compression = kib.estimators.weight_compression(model)

    keras.utils.set_random_seed(seed)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=seed)
    measure = kib.callbacks.Measure(
        {
            "test": lambda model: scores(model, x_test, y_test),
            "train": lambda model: scores(model, x, y),
            "qubd": lambda model: complexity_row(model, start),
        }
    )
    model.fit(
        batches.batch(BATCH_SIZE).repeat(),
        steps_per_epoch=steps,
        epochs=checkpoints,
        verbose=0,
        callbacks=[measure],
    )
    end = kib.estimators.quantized_complexity(model, baseline=start)
    compression = kib.estimators.weight_compression(model)
    return {
        "task": "budgets",
        "regimen": regimen,
        "budget": len(x),
        "seed": seed,
        "updates": int(model.optimizer.iterations),
        "rows": measure.rows,
        "test_accuracy": scores(model, x_test, y_test)["accuracy"],
        "ratio": end.ratio,
        "ratio_by_plane": end.against_baseline.by_plane.tolist(),
        "shuffled_ratio": end.shuffled_ratio,
        "shuffled_std": end.against_shuffled.std,
        "shuffled_by_plane": end.against_shuffled.by_plane.tolist(),
        "comparators": {
            name: getattr(compression, name) / getattr(start_compression, name)
            for name in ("sign_bits", "gzip_raw", "lzma_raw", "gzip_planes", "lzma_planes")
        },
        "accuracy_at_bits": {
            bits: scores(kib.estimators.quantize_to(model, bits), x_test, y_test)["accuracy"]
            for bits in PTQ_BITS
        },
        "saturation": max(end.saturation.values()),
    }


def run_grokking(settings: dict, path: Path, *, weight_decay: float, seed: int) -> dict:
    """Learn addition modulo p on half of the table; goes on from the last checkpoint."""
    modulus, every = settings["modulus"], 100
    a, b = np.divmod(np.arange(modulus**2), modulus)
    x, y = np.stack([a, b], axis=1), (a + b) % modulus
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = order[: len(x) // 2], order[len(x) // 2 :]
    keras.utils.set_random_seed(seed)
    model = build_adder(modulus, settings["grok_width"], weight_decay)
    start = kib.estimators.quantized_complexity(model, num_bits=4)
    checkpoint = kib.callbacks.Checkpoint(path.with_suffix(".state.npz"))
    measure = kib.callbacks.Measure(
        {
            "train": lambda model: scores(model, x[train], y[train]),
            "test": lambda model: scores(model, x[test], y[test]),
            "qubd": lambda model: complexity_row(model, start, num_bits=4),
        },
        csv_path=path.with_suffix(".csv"),
    )
    model.fit(
        tf.data.Dataset.from_tensors((x[train], y[train])).repeat(),
        steps_per_epoch=every,
        initial_epoch=checkpoint.restore(model),
        epochs=settings["grok_updates"] // every,
        shuffle=False,
        verbose=0,
        callbacks=[measure, checkpoint],
    )
    Path(checkpoint.filepath).unlink(missing_ok=True)
    return {
        "task": "grokking",
        "weight_decay": weight_decay,
        "seed": seed,
        "updates_per_row": every,
        "rows": measure.rows,
        "test_accuracy": measure.rows[-1]["test_accuracy"],
        "ratio": measure.rows[-1]["qubd_ratio"],
        "shuffled_ratio": measure.rows[-1]["qubd_shuffled_ratio"],
    }


def complexity_row(model, start, num_bits: int = 8) -> dict[str, float]:
    """Ratios that are followed during training."""
    now = kib.estimators.quantized_complexity(model, num_bits=num_bits, baseline=start)
    return {
        "ratio": now.ratio,
        "shuffled_ratio": now.shuffled_ratio,
        "top_ratio": float(now.against_baseline.by_plane[-1]),
        "top_shuffled_ratio": float(now.against_shuffled.by_plane[-1]),
    }


def scores(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Mean cross-entropy in nats and accuracy."""
    logits = model(x, training=False)
    losses = keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
    hits = keras.ops.argmax(logits, axis=-1) == y
    return {
        "crossentropy": float(keras.ops.mean(losses)),
        "accuracy": float(keras.ops.mean(keras.ops.cast(hits, "float32"))),
    }


def claim_directory(output_dir: Path, settings: dict) -> None:
    """Create the directory, or refuse one that holds a run with other settings."""
    for name in ("budgets", "grokking"):
        (output_dir / name).mkdir(parents=True, exist_ok=True)
    path = output_dir / "settings.json"
    if not path.exists():
        write_json(path, settings)
    elif json.loads(path.read_text()) != settings:
        raise ValueError(
            "output_dir must be new or hold a run with the same settings. "
            f"Received: output_dir={output_dir} with {path.read_text()}"
        )


def write_json(path: Path, content: dict) -> None:
    """Write the file as a whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    os.replace(partial, path)


if __name__ == "__main__":
    app.run(main)
