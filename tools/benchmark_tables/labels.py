"""Examples and labels: which are wrong, training on them, and whose influence a loss is."""

import statistics

from benchmark_tables.markdown import is_there, read, section, spread, table

__all__ = [
    "costs_of_examples",
    "influence",
    "training_through_wrong_labels",
    "wrong_labels",
]

LABELLED = {  # the data of each result, and the flag that names them
    "wrong_labels_digits": ("digits of scikit-learn", ""),
    "wrong_labels_mnist": ("images of MNIST", " --data=mnist.npz"),
    "wrong_labels_cifar10_subset": ("images of CIFAR-10", " --data=cifar10_subset.npz"),
}


def wrong_labels() -> str:
    """How well scores find replaced labels, how many they say there are, and what they cost."""
    texts, commands, results = [], [], []
    for name, (data, flag) in LABELLED.items():
        if not is_there(name):
            continue
        found = read(name)
        runs = found["runs"]
        count = len(next(iter(runs.values())))
        commands.append(
            f"python benchmarks/wrong_labels.py --num_examples={found['num_examples']}{flag}"
        )
        results.append(name)
        texts += [
            f"{found['num_examples']:,} {data}, {count} seeds. Area under the ROC curve:\n",
            areas(runs),
            "How many there are, and how many of those that are called wrong are (means):\n",
            counts(runs),
        ]
    last = [run for run in runs.values() for run in run]
    times = {
        name: statistics.median(run["seconds"][name] for run in last) for name in last[0]["seconds"]
    }
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in times.items())
    return section(
        "Wrong labels",
        commands,
        results,
        f"A perceptron of {found['num_units']} hidden units, {found['epochs']} epochs; labels "
        "replaced at random, or by the next class. Mean and standard deviation over seeds. `plain: "
        "find_wrong_labels, diagonal` is by the matrix of all weights, its default by that of the "
        "last layer.\n",
        *texts,
        f"Seconds on the last of these data (medians): {seconds}.\n",
    )


def areas(runs: dict[str, list[dict]]) -> str:
    """Area under the ROC curve by score and kind of replacement."""
    rows = [
        [name, *(spread([r["areas"][name] for r in run], 3) for run in runs.values())]
        for name in next(iter(runs.values()))[0]["areas"]
    ]
    return table(["score", *runs], rows)


def counts(runs: dict[str, list[dict]]) -> str:
    """Shares that are wrong and expected to be, and labels that are called wrong."""
    counted = {
        "share that is wrong": "share",
        "share expected, paying": "expected_share, paying",
        "share expected, plain": "expected_share, plain",
    }
    rows = [
        [name, *(spread([r[key] for r in run], 3) for run in runs.values())]
        for name, key in counted.items()
    ]
    rows += [
        [f"flagged, {score}; wrong among them", *(flagged(run, score) for run in runs.values())]
        for score in ("paying", "plain", "confident learning")
    ]
    return table(["", *runs], rows)


TRAINED = {  # the data of each result
    "training_through_wrong_labels_digits": "Digits of scikit-learn",
    "training_through_wrong_labels_mnist": "MNIST",
    "training_through_wrong_labels_cifar10_subset": "CIFAR-10",
}


def training_through_wrong_labels() -> str:
    """What is right on the test set after training on wrong labels, method by method."""
    texts, commands, results = [], [], []
    for name, data in TRAINED.items():
        if not is_there(name):
            continue
        found = read(name)
        commands.append(found["command"])
        results.append(name)
        count = found["settings"]["seeds"]
        texts += [f"{data}, {count} seeds:\n", methods_compared(found["methods"])]
    settings = found["settings"]
    return section(
        "Training through wrong labels",
        commands,
        results,
        f"{settings['label_noise']:.0%} of the labels of at most {settings['num_examples']:,} "
        "images replaced at random, a perceptron "
        f"{'-'.join(map(str, settings['units']))}, about {settings['updates']:,} updates; "
        "strength, and for early stopping the epoch, chosen on "
        "held-out labels as wrong. Per cent right on the test set, and of the wrong labels that "
        "were learned, with standard errors; and how far paying for weights is ahead, paired.\n",
        *texts,
    )


def methods_compared(methods: dict[str, dict]) -> str:
    """A line for each method, with how far paying for weights is ahead of it."""
    ours = methods["paying for weights"]

    def percent(values: list[float]) -> str:
        error = statistics.stdev(values) / len(values) ** 0.5
        return f"{100 * statistics.mean(values):.1f} ± {100 * error:.1f}"

    rows = []
    for method, each in methods.items():
        cells = [
            percent(each[when][key]) for when in ("last", "early") for key in ("test", "wrong")
        ]
        for when in ("last", "early"):
            pairs = zip(ours[when]["test"], each[when]["test"], strict=True)
            ahead = percent([mine - its for mine, its in pairs])
            cells.append("" if each is ours else ahead)
        rows.append([method, *cells])
    head = ["", "test, last epoch", "learned", "test, stopped early", "learned"]
    return table([*head, "ours ahead, last", "ours ahead, early"], rows)


def influence() -> str:
    """The linear datamodelling score, beside kronfluence on the same weights."""
    name = "influence_digits"
    if not is_there(name):
        return ""
    found = read(name)
    rows = [
        [method, spread_of(row), f"{row['seconds']:.1f}" if "seconds" in row else ""]
        for method, row in found["scores"].items()
    ]
    return section(
        "Influence of examples",
        ["python benchmarks/influence.py --peers_python=/path/to/python"],
        [name],
        f"{found['num_subsets']} halves of {found['num_examples']:,} digits, a tenth of them with "
        f"another label; on each {found['repeats']} perceptrons of {found['num_units']} hidden "
        "units are trained from other initial weights, and their losses on "
        f"{found['num_test']} test examples compared with the sum of the influences of the half. "
        "Rank correlation over the halves, mean and standard error over the test examples; the "
        "ceiling is that of one more training of each half. Damping is the weight decay of the "
        f"training, {found['decay']:g}. Seconds of one thread for all pairs: ours measures a "
        "test example in a call of its own.\n",
        table(["influence by", "score", "seconds"], rows),
    )


def costs_of_examples() -> str:
    """What influence, forgetting and information cost, in gradient passes."""
    name = "whose_nats"
    if not is_there(name):
        return ""
    found = read(name)
    quantities = [key for key in next(iter(found.values())) if key != "gradient pass, seconds"]
    rows = [[key, *(f"{network[key]:.1f}" for network in found.values())] for key in quantities]
    about = (
        "In passes for the gradient of the mean loss over the same examples, compiled, on one "
        "thread. Where a Fisher matrix is needed it is given, unless the line says otherwise; "
        "`find_wrong_labels` makes that of the last layer itself."
    )
    if "training epoch" in quantities:
        about += (
            " The two epochs of training call a compiled step for each batch; the code is a layer "
            "of 64 units before the head, Gaussian or plain."
        )
    return section(
        "Costs of influence, forgetting and information",
        ["python benchmarks/whose_nats.py --data=mnist.npz --num_examples=1000 --rounds=2"],
        [name],
        about + "\n",
        table(["", *(key.upper() for key in found)], rows),
    )


def spread_of(row: dict) -> str:
    """A score and its standard error."""
    return f"{row['score']:.3f} ± {row['error']:.3f}"


def flagged(run: list[dict], score: str) -> str:
    """How many labels are called wrong, and the share of those that are."""
    count = statistics.mean(row[f"flagged, {score}"] for row in run)
    shares = [row[f"precision, {score}"] for row in run if row[f"precision, {score}"] is not None]
    share = statistics.mean(shares) if shares else float("nan")
    return f"{count:.0f}, {share:.3f}"
