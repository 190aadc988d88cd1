"""Methods beside others: hidden states, complexity, files, Boltzmann machines, forgetting."""

import statistics

from benchmark_tables.markdown import is_there, read, section, spread, table

__all__ = [
    "boltzmann",
    "complexity_of_weights",
    "compressed_files",
    "forgetting",
    "hidden_states",
    "learning_coefficients",
]


def hidden_states() -> str:
    """Counting of states and curves of relevance."""
    found = read("benchmark_relevance")
    stream, scales = found["stream"], found["multiscale"]
    rows = [
        [
            f"count {row['num_samples']:,} {kind} states of 64 units",
            f"{row['seconds'] * 1000:.0f} ms",
            f"{row['ratio_to_packbits_unique']:.2f} of `unique` of packed rows, "
            f"{row['ratio_to_flat_packbits_unique']:.2f} of the same on flat bits, "
            f"{row['times_faster_than_unique_axis_0']:,.0f} times faster than `unique(axis=0)`",
        ]
        for kind, row in found["count"].items()
    ]
    rows += [
        [
            f"count {stream['num_samples']:,} states in a stream",
            f"{stream['seconds']:.1f} s",
            f"peak {stream['peak_gib']:.1f} GiB, {stream['peak_gib_before']:.1f} before",
        ],
        [
            f"multiscale relevance of {scales['num_points']:,} points",
            f"{scales['seconds'] * 1000:.0f} ms",
            f"{scales['times_faster_than_plain']:.0f} times faster than the published procedure "
            "written plainly",
        ],
        *(
            [f"curve of maximal relevance, M = {int(size):,}", f"{seconds[0]:.2f} s", ""]
            for size, seconds in found["curve_seconds"].items()
        ),
    ]
    command = ["python benchmarks/relevance.py"]
    results = ["benchmark_relevance"]
    text = "Processor time, on a busy machine.\n\n" + table(["what", "time", "beside"], rows)
    return section("Hidden states", command, results, text)


def complexity_of_weights() -> str:
    """Block decomposition beside pybdm, and many weights."""
    found = read("quantized_complexity")
    rows = [
        [
            f"784 x 512 bits as {kind}",
            f"{row['milliseconds']:.2f} ms",
            f"{row['times_faster']:.0f} times faster than pybdm, values equal to "
            f"{row['relative_difference']:.0e}",
        ]
        for kind, row in found["pybdm_784x512"].items()
    ]
    rows += [
        [
            f"{row['weights'] / 1e6:.0f} million weights, {name.replace('_', ' ')}, 3 shuffles",
            f"{row['seconds']:.1f} s ({row['processor_seconds']:.1f} s of processors)",
            f"peak {row['peak_mebibytes'] - row['peak_mebibytes_before']:.0f} MiB above weights",
        ]
        for name, row in found["many_weights"].items()
    ]
    command = ["python benchmarks/quantized_complexity.py"]
    results = ["quantized_complexity"]
    text = "Of one matrix processor time.\n\n" + table(["what", "time", "beside"], rows)
    return section("Complexity of weights", command, results, text)


def compressed_files() -> str:
    """Compressed files, and the search beside minimal random coding."""
    found = read("benchmark_compression")
    rows = [
        [
            name,
            f"{row['bytes']:,}",
            f"{row['bits_per_bit_of_information']:.2f}",
            f"{row['log_ratio']:.2f}",
            f"{row['processor_seconds_to_compress']:.1f}",
            f"{row['seconds_to_decompress']:.2f}",
        ]
        for name, row in found["settings"].items()
    ]
    nats = found["settings"]["default"]["nats"]
    head = ["setting", "bytes", "bits a bit", "log ratio", "seconds to write", "seconds to read"]
    return section(
        "Compressed files",
        [found["command"]],
        ["benchmark_compression"],
        f"LeNet-5 with a posterior of {nats:,.0f} nats. Bits of the file a bit of information, "
        "everything included; the log density ratio of posterior and prior at the weights of the "
        "file, as a share of the divergence, which draws have in the mean. A block by itself is "
        "minimal random coding.\n",
        table(head, rows),
    )


def boltzmann() -> str:
    """An epoch beside scikit-learn's, and the likelihood that each reaches."""
    found = read("benchmark_boltzmann")
    median = found["median"]
    rows = [
        [
            "this package",
            f"{median['seconds_per_epoch']:.2f}",
            "",
            f"{median['pseudo_likelihood']:.1f}",
        ]
    ]
    for kind in ("float32", "float64"):
        faster = [row[f"times_faster_than_{kind}"] for row in found["repeats"]]
        rows.append(
            [
                f"scikit-learn, {kind}",
                f"{median[f'scikit_{kind}_seconds_per_epoch']:.2f}",
                f"{median[f'times_faster_than_{kind}']:.2f} ({min(faster):.2f} to "
                f"{max(faster):.2f})",
                f"{median[f'scikit_{kind}_pseudo_likelihood']:.1f}",
            ]
        )
    head = ["machine", "seconds an epoch", "times faster ours is", "log-pseudo-likelihood, nats"]
    return section(
        "Boltzmann machines",
        [f"python benchmarks/boltzmann.py --data mnist.npz --repeats {len(found['repeats'])}"],
        ["benchmark_boltzmann"],
        f"Persistent contrastive divergence on {median['num_examples']:,.0f} images, "
        f"{found['units']} hidden units, {found['epochs']} epochs; medians of "
        f"{len(found['repeats'])} fresh processes.\n",
        table(head, rows),
    )


def forgetting() -> str:
    """What is left of examples by several ways to forget them."""
    if not is_there("forgetting_mnist"):
        return ""
    found = read("forgetting_mnist")
    texts = []
    tasks = {"class": "All images of one class", "examples": "A hundred images at random"}
    for task, title in tasks.items():
        runs = found["runs"][task]
        rows = []
        for way in runs[0]:
            own = [run[way] for run in runs]
            steps = [row["relearn steps"] for row in own]
            rows.append(
                [
                    way,
                    *(
                        f"{100 * mean(own, key):.1f}"
                        for key in ("test accuracy", "forgotten", "unseen")
                    ),
                    spread([row["attack"] for row in own], 3),
                    "not always" if None in steps else f"{statistics.mean(steps):.0f}",
                    f"{mean(own, 'nats'):,.0f}",
                    f"{mean(own, 'seconds'):.1f}",
                ]
            )
        head = ["", "test, %", "forgotten, %", "unseen alike, %", "attack", "steps to relearn"]
        texts += [f"{title}, {len(runs)} seeds:\n", table([*head, "nats", "seconds"], rows)]
    return section(
        "Forgetting",
        ["python benchmarks/forgetting.py --data=mnist.npz"],
        ["forgetting_mnist"],
        f"{found['num_examples']:,} images of MNIST, a perceptron of {found['num_units']} hidden "
        f"units with weight decay. `kib.forget` by Kronecker factors, price {found['price']:g}, "
        f"with a full step and with one damped by a shift of {found['shift']:g}. Nothing is left "
        "where accuracy on what was forgotten is that on unseen images alike, the attack, an area "
        "under the ROC curve, is 0.5, and relearning takes as long as a network trained anew. "
        "The nats could be read if noise of that price were added; they are estimates from where "
        "the gradient on the rest points. ± is the standard deviation over seeds.\n",
        *texts,
    )


def mean(rows: list[dict], key: str) -> float:
    """Mean over seeds."""
    return statistics.mean(row[key] for row in rows)


def learning_coefficients() -> str:
    """Estimates beside the coefficients that are known."""
    found = read("learning_coefficient")
    rows = [
        [
            f"`{name}`" if name.startswith("w1") else name,
            f"{row['truth']:.4g}",
            f"{row['coefficient']:.3f} ± {row['standard_error']:.3f}",
            f"{row['gaussian_slope']:.2f}",
            f"{row['seconds']:.0f}",
        ]
        for name, row in found["rows"].items()
    ]
    return section(
        "Learning coefficients",
        [found["command"]],
        ["learning_coefficient"],
        f"{found['settings']['num_chains']} chains of {found['settings']['num_draws']:,} draws; "
        f"{found['held']} of the first nine are within a tenth and two standard errors. The last "
        "two have multiplicity two and are biased.\n",
        table(["minimum", "known", "found", "Gaussian code", "seconds"], rows),
    )
