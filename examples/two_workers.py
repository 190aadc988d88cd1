"""Train a network on two workers, kill one of them, and resume with the same result.

`tf.distribute.MultiWorkerMirroredStrategy` runs one process for each worker, here two on this
machine. `fit` of Keras 3.15.1 fails with it, so the script has its own loop: each step is the
model's `train_step`, run on all workers, each of which has its part of every batch. After each
epoch `kib.callbacks.Checkpoint` writes one file, which all workers read when they start. When a
worker dies the others cannot continue, and the process that started them, here this script, starts
all of them again.

The script compares the weights and the losses of an uninterrupted training with those of one in
which a worker was killed in the middle of an epoch, once or `--kills` times, and a Fisher matrix
measured by both workers with that of one process. Expected: differences of 0 and of rounding. Run
time: half a minute, and ten seconds for every kill.
"""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

FLAGS = flags.FLAGS
script.define_flags("outputs/two_workers")
flags.DEFINE_integer("epochs", 5, "Epochs.", 2)
flags.DEFINE_integer("kills", 1, "Epochs, from the second on, in which a worker is killed.", 1)
flags.DEFINE_string("name", None, "Of the training; set for the workers by the script itself.")
flags.DEFINE_list("killed_at", [], "Worker, epoch, step of a kill; set by the script itself.")
BATCH_SIZE, NUM_WORKERS = 50, 2
PATIENCE = 5  # seconds that a worker is given to end after the other was killed


def run():
    """Be one worker, or start them and compare."""
    if "TF_CONFIG" in os.environ:
        work()
        return
    if FLAGS.kills >= FLAGS.epochs:
        raise ValueError(
            "--kills must be below --epochs, as each epoch from the second on has at most one. "
            f"Received: {FLAGS.kills} and {FLAGS.epochs}"
        )
    folder = script.output_folder()
    for file in folder.glob("*.npz"):
        file.unlink()
    if any(start_workers(folder, "undisturbed")):
        sys.exit("two_workers.py: the undisturbed training failed.")
    moments, ended = random.Random(FLAGS.seed), []
    for epoch in range(1, FLAGS.kills + 1):
        worker, step = moments.randrange(NUM_WORKERS), moments.randrange(1, num_steps())
        ended.append(start_workers(folder, "killed", (worker, epoch, step)))
        print(
            f"worker {worker} was killed in step {step} of epoch {epoch}; they ended with exit "
            f"codes {ended[-1]}, and are started again",
            flush=True,
        )
    if any(start_workers(folder, "killed")):
        sys.exit("two_workers.py: the training failed when it was taken up again.")
    with (
        np.load(folder / "undisturbed_end.npz") as undisturbed,
        np.load(folder / "killed_end.npz") as killed,
    ):
        difference = max(float(np.abs(undisturbed[key] - killed[key]).max()) for key in undisturbed)
        losses = killed["losses"].tolist()
        x = data()[0]
        model = new_model(len(x))
        model.set_weights([killed[f"weight_{i}"] for i in range(len(model.weights))])
        alone = float(fisher_of(model, x).trace())
        together = float(killed["trace"])
    script.finish(
        f"kills: {len(ended)}; epochs in the history: {len(losses)}; largest difference of any "
        f"weight or loss from the undisturbed training: {difference:g}; trace of the Fisher matrix "
        f"by two workers {together:.6g}, by one process {alone:.6g}",
        largest_difference=difference,
        losses=losses,
        trace_of_two=together,
        trace_of_one=alone,
        exit_codes=ended,
    )


def work():
    """Train together with the other worker; the first one writes what came of it."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before TensorFlow does anything else
    worker = strategy.cluster_resolver.task_id
    x, y = data()
    with strategy.scope():
        model = new_model(len(x))
    checkpoint = kib.callbacks.Checkpoint(f"{FLAGS.output_dir}/{FLAGS.name}.npz")
    checkpoint.set_model(model)

    @tf.function
    def step(x, y):
        return strategy.run(model.train_step, args=((x, y),))

    for epoch in range(checkpoint.restore(model), FLAGS.epochs):
        model.reset_metrics()
        order = np.random.default_rng([FLAGS.seed, epoch]).permutation(len(x))
        for number in range(num_steps()):
            if [str(worker), str(epoch), str(number)] == FLAGS.killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            first = number * BATCH_SIZE
            part = order[first + worker : first + BATCH_SIZE : NUM_WORKERS]
            step(x[part], y[part])
        checkpoint.on_epoch_end(epoch, {"loss": float(model.get_metrics_result()["loss"])})
    fisher = fisher_of(model, x, strategy)
    if worker == 0:
        weights = {f"weight_{i}": value for i, value in enumerate(model.get_weights())}
        path = pathlib.Path(FLAGS.output_dir, f"{FLAGS.name}_end.npz")
        losses = checkpoint.history["loss"]
        np.savez(path, trace=float(fisher.trace()), losses=losses, **weights)


def data():
    """Training images as rows, and their labels."""
    images = datasets.load(path=FLAGS.data)
    size = num_steps() * BATCH_SIZE
    return images.x_train[:size].reshape(size, -1), images.y_train[:size]


def num_steps() -> int:
    """Of an epoch."""
    return 4 if FLAGS.smoke else 20


def new_model(num_examples) -> keras.Model:
    """A noisy network, ready to be trained."""
    keras.utils.set_random_seed(FLAGS.seed)
    network = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(10)]
    )
    options = {"weight_beta": 0.1, "seed": FLAGS.seed, "verbose": 0}
    model = kib.make_variational(network, num_examples=num_examples, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    return model


def fisher_of(model, x, strategy=None):
    """The diagonal, by all workers where there are some: each takes part of the batches."""
    return kib.estimators.fisher_information(
        model, x, likelihood="categorical", seed=0, batch_size=BATCH_SIZE, strategy=strategy
    )


def start_workers(folder, name, killed_at=()) -> list[int]:
    """Start both, wait for them, and return their exit codes; what they print goes to files.

    When one is killed the other waits for it, and is ended after a while.
    """
    ports = free_ports()
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    at = ",".join(str(number) for number in killed_at)
    command = [sys.executable, __file__, *sys.argv[1:], f"--output_dir={folder}", f"--name={name}"]
    processes = []
    for index in range(NUM_WORKERS):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        with open(folder / f"{name}_{index}.log", "a", encoding="utf-8") as log:
            options = {"env": environment, "stdout": log, "stderr": log}
            processes.append(subprocess.Popen([*command, f"--killed_at={at}"], **options))
    first = processes[killed_at[0] if killed_at else 0]
    first.wait()
    for process in processes:
        try:
            process.wait(timeout=PATIENCE if killed_at else None)
        except subprocess.TimeoutExpired:
            process.kill()
    return [process.wait() for process in processes]


def free_ports() -> list[int]:
    """Ports of this machine that nobody listens at."""
    sockets = [socket.socket() for _ in range(NUM_WORKERS)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    script.main(run)
