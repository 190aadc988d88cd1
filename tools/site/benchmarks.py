"""What things cost: tables from the files in `docs/results`."""

import json
import pathlib

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results"

HEAD = """# Benchmarks

What things cost, beside other packages. The tables are written from the files in `docs/results`
when the site is built; every file names the command that made it. Times are of one thread unless a
table says otherwise. [Measurements](measurements.md) has what was tried, and what brought no gain.
"""
NETWORKS = {"mlp": "perceptron 784-512-512-10", "cnn": "convolutional network"}


def read(name: str) -> dict:
    """A file of results."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def table(head, rows) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def layers() -> str:
    """A training step with noise on the weights, as a multiple of plain Keras."""
    rows = []
    for network, name in NETWORKS.items():
        rivals = read(f"layers_{network}")["rivals"]
        for estimator in ("local", "sample", "flipout"):
            ours, theirs = rivals[estimator], rivals.get(f"tfp {estimator}")
            rows.append(
                [
                    name,
                    f'`"{estimator}"`',
                    f"{ours['ratio']:.1f}",
                    f"{theirs['ratio']:.1f}" if theirs else "has none",
                    f"{ours['peak_mib']:.0f}",
                    f"{theirs['peak_mib']:.0f}" if theirs else "",
                ]
            )
    head = ["network", "estimator", "this package", "tfp.layers", "peak MiB, this", "peak MiB, tfp"]
    return (
        "## Noise on the weights\n\nA training step at batch 128 as a multiple of the same step of "
        "the same network in plain Keras, without XLA.\n\n" + table(head, rows)
    )


def fisher() -> str:
    """Fisher information, as multiples of a gradient pass."""
    costs, parts = read("fisher_cost"), ["## Fisher information and curvature\n"]
    for network, name in NETWORKS.items():
        found = costs[network]
        rows = []
        for quantity, ratio in found["ours"].items():
            peers = {
                peer.removesuffix(quantity).strip(): value
                for peer, value in found["peers"].items()
                if peer.endswith(quantity)
            }
            others = ", ".join(f"{peer} {value:.2f}" for peer, value in sorted(peers.items()))
            rows.append([quantity, f"{ratio:.2f}", others])
        seconds = found["seconds"]["gradient"]
        parts.append(
            f"In gradient passes over 2,000 images ({seconds:.3f} s), {name}. Each package is "
            "measured against its own framework's pass.\n"
        )
        parts.append(table(["quantity", "this package", "others"], rows))
    large = read("fisher_memory")["resnet50"]
    parts.append(
        f"ResNet50, {large['weights'] / 1e6:.1f} million weights, 32 images of 64 x 64, two "
        f"threads: diagonal and trace in {large['diagonal_seconds']:.1f} s, log-determinant by "
        f"Lanczos in {large['logdet_seconds']:.0f} s, at most {large['peak_mib'] / 1024:.1f} GiB "
        "for the whole process.\n"
    )
    scaling = read("fisher_scaling")
    for of, what in (("examples", "number of examples"), ("weights", "number of weights")):
        rows = [[f"{int(size):,}", f"{value:.3f}"] for size, value in scaling[of].items()]
        parts.append(f"Seconds of a sampled diagonal by {what}:\n")
        parts.append(table([what, "seconds"], rows))
    return "\n".join(parts)


def states_and_complexity() -> str:
    """Hidden states and complexity of weights."""
    relevance, weights = read("benchmark_relevance"), read("quantized_complexity")
    planes = weights["pybdm_784x512"]["uint8"]
    one = weights["many_weights"]["one_layer"]
    stream, count = relevance["stream"], relevance["count"]["distinct"]
    rows = [
        [
            f"count {count['num_samples']:,} states of 64 units",
            f"{count['seconds'] * 1000:.0f} ms",
            f"{count['times_faster_than_unique_axis_0']:.0f} times faster than `unique(axis=0)`",
        ],
        [f"count {stream['num_samples']:,} states in a stream", f"{stream['seconds']:.1f} s", ""],
        *(
            [f"curve of maximal relevance, M = {int(size):,}", f"{seconds[0]:.2f} s", ""]
            for size, seconds in relevance["curve_seconds"].items()
        ),
        [
            "block decomposition of 784 x 512 bits",
            f"{planes['milliseconds']:.2f} ms",
            f"{planes['times_faster']:.0f} times faster than pybdm; they agree to 1e-14",
        ],
        [
            f"quantised complexity of {one['weights'] / 1e6:.0f} million weights",
            f"{one['seconds']:.1f} s",
            "",
        ],
    ]
    return "## Hidden states and complexity\n\n" + table(["what", "time", "beside"], rows)


def compression() -> str:
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
    return (
        f"## Compressed files\n\nLeNet-5 with a posterior of {nats:,.0f} nats. Bits of the file a "
        "bit of information, everything included; the log density ratio of posterior and prior at "
        "the weights of the file, as a share of the divergence, which draws have in the mean. A "
        "block by itself is minimal random coding.\n\n" + table(head, rows)
    )


def page() -> str:
    """All tables as text in Markdown."""
    return "\n".join([HEAD, layers(), fisher(), states_and_complexity(), compression()])
