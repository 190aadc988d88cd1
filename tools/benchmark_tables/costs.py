"""What training and measuring cost: steps with noise, curvature, streams, reduced precision."""

from benchmark_tables.markdown import is_there, read, section, table

__all__ = [
    "curvature",
    "curvature_limits",
    "curvature_of_sequences",
    "importing",
    "large_vocabulary",
    "noise_on_weights",
    "precision",
    "recurrent_layers",
    "streams",
]

LABELS = ("empirical", "sampled")
NETWORKS = {"mlp": "perceptron 784-512-512-10", "cnn": "convolutional network"}
SEQUENCES = {"transformer": "transformer block", "lstm": "long short-term memory"}
STEPS = {**NETWORKS, "transformer": SEQUENCES["transformer"]}


def importing() -> str:
    """What importing the package takes over importing Keras."""
    found = read("import_time")
    rows = []
    for unit in ("seconds", "processor_seconds"):
        row = found[unit]
        keras, package = (f"{row[name]:.2f}" for name in ("keras", "keras_infobottleneck"))
        rows.append([unit.replace("_", " "), keras, package, f"{row['package_over_keras']:.1%}"])
    return section(
        "Importing",
        ["python benchmarks/import_time.py --output docs/results/import_time.json"],
        ["import_time"],
        f"Medians of {found['rounds']} fresh processes each, in turns, at a load average of "
        f"{found['load_average']:.1f}. The package imports Keras, and {found['files_imported']} of "
        f"its own {found['files_of_the_package']} files.\n",
        table(["unit", "Keras", "the package", "more than Keras"], rows),
    )


def noise_on_weights() -> str:
    """A training step with noise on the weights, as a multiple of plain Keras and of its floor."""
    networks = {name: said for name, said in STEPS.items() if is_there(f"layers_{name}")}
    rows = []
    for network, name in networks.items():
        rivals = read(f"layers_{network}")["rivals"]
        for estimator in ("local", "sample", "flipout"):
            ours, theirs = estimator, f"tfp {estimator}"
            rows.append(
                [
                    name,
                    f'`"{estimator}"`',
                    ratios(rivals, ours, "ratio"),
                    ratios(rivals, ours, "ratio_to_floor"),
                    peak(rivals, ours),
                    ratios(rivals, theirs, "ratio"),
                    peak(rivals, theirs),
                ]
            )
    head = ["network", "estimator", "this package", "over its floor", "peak MiB"]
    return section(
        "Noise on the weights",
        [read(f"layers_{network}")["command"] for network in networks],
        [f"layers_{network}" for network in networks],
        "Processor time of a training step at batch 128 as a multiple of the same step of the same "
        "network in plain Keras; in brackets with `jit_compile`, as a multiple of plain Keras with "
        "it. The floor of an estimator makes its products and gives the optimizer twice the "
        "weights, without noise or divergence (the target is 1.15 times that at most). Memory is "
        "that of training above the built model's, without `jit_compile`, compilation of the noise "
        "included. An empty cell was not measured; `tfp.layers` "
        "has no convolution with local reparameterisation.\n",
        table([*head, "tfp.layers", "peak MiB"], rows),
    )


def ratios(rivals: dict, rival: str, key: str) -> str:
    """A ratio without `jit_compile`, and in brackets with it; nothing where there is none."""
    plain, jitted = rivals.get(rival, {}), rivals.get(f"{rival} xla", {})
    if key not in plain:
        return ""
    with_jit = jitted.get("ratio_same_mode" if key == "ratio" else key)
    return f"{plain[key]:.2f}" + (f" ({with_jit:.2f})" if with_jit else "")


def peak(rivals: dict, rival: str) -> str:
    """MiB of a rival, nothing where they were not measured."""
    row = rivals.get(rival, {})
    return f"{row['peak_mib']:.0f}" if "peak_mib" in row else ""


def curvature() -> str:
    """Fisher matrices and products, as multiples of two plain gradient passes."""
    costs = read("fisher_cost")
    return section(
        "Fisher information and curvature",
        costs["commands"],
        ["fisher_cost"],
        "In gradient passes over 2,000 images. A plain pass calls a compiled step for each batch, "
        "as training does; in the second column the loop over batches is compiled too. Each "
        "other package is measured against its own framework's pass.\n",
        *(part for network, name in NETWORKS.items() for part in beside(name, costs[network])),
    )


def curvature_of_sequences() -> str:
    """The same of the networks that read images row by row, once they were measured."""
    if not is_there("fisher_sequences"):
        return ""
    costs = read("fisher_sequences")
    return section(
        "Curvature of sequence networks",
        [
            "python benchmarks/fisher.py --network transformer --network lstm --data mnist.npz "
            "--rounds 3 --peers_python PYTHON_WITH_TORCH"
        ],
        ["fisher_sequences"],
        "As above, of networks that read an image row by row, on a machine that did other things "
        "too: ratios are of turns taken in one process, but seconds of the two frameworks are of "
        "one process after the other. torch's pass of the long short-term memory is that of "
        "`nn.LSTM`, for which BackPACK has rules; the others are given a loop over its steps. "
        "`torch.func` is what one writes without a package, in parts of batches of the fastest "
        "size. curvlinops' Kronecker factors leave out layer normalisation. Not measured: BackPACK "
        "has no rule for attention and layer normalisation, and no Kronecker factors of "
        "`nn.LSTM`; nngeometry takes no linear layer "
        "over a sequence; laplace-torch's default backend leaves out the terms between positions, "
        "and the one measured is slower than `torch.func` for the expected diagonal.\n",
        *(part for network, name in SEQUENCES.items() for part in beside(name, costs[network])),
    )


def beside(name: str, found: dict) -> list[str]:
    """What a network's curvature costs beside the other packages, and how far diagonals differ."""
    rows = []
    for quantity, ratio in found["ours"].items():
        loop = found["ours, of the compiled loop"][quantity]
        others = {
            peer.removesuffix(quantity).strip(): value
            for peer, value in found["peers"].items()
            if peer.endswith(quantity)
        }
        listed = ", ".join(f"{peer} {value:.2f}" for peer, value in sorted(others.items()))
        rows.append([quantity, f"{ratio:.2f}", f"{loop:.2f}", listed])
    seconds = found["seconds"]
    theirs = found.get("seconds of the peers")
    off = ", ".join(f"{peer} {value:.0e}" for peer, value in found["difference"].items())
    return [
        f"{name.capitalize()}, whose passes take {seconds['gradient']:.3f} and "
        f"{seconds['gradient, compiled loop']:.3f} seconds"
        + (f", torch's {theirs:.3f}:\n" if theirs else ":\n"),
        table(["quantity", "of a pass", "of a compiled loop", "others"], rows),
        f"Largest difference from our diagonal, of its largest entry: {off}.\n",
    ]


def curvature_limits() -> str:
    """Memory of curvature, and a ResNet50."""
    memory = read("fisher_memory")
    quantities = [name for name in memory["mlp"] if name != "gradient"]
    rows = [
        [NETWORKS[network], *(f"{memory[network][name]:.1f}" for name in quantities)]
        for network in NETWORKS
    ]
    large = memory["resnet50"]
    parts = [
        "MiB at the peak of a fresh process above that of a plain gradient pass, 2,000 images; "
        "below it where batches are split:\n",
        table(["network", *quantities], rows),
        f"ResNet50, {large['weights'] / 1e6:.1f} million weights, 32 images of 64 x 64, two "
        f"threads: diagonal and trace in {large['diagonal_seconds']:.1f} s, log-determinant by "
        f"Lanczos (2 probes, 20 steps) in {large['logdet_seconds']:.0f} s, at most "
        f"{large['peak_mib'] / 1024:.1f} GiB for the whole process.\n",
    ]
    return section(
        "How far curvature goes",
        memory["commands"],
        ["fisher_memory"],
        *parts,
    )


DECODERS = {  # by result: the flags, and what the network is
    "large_vocabulary": ("", "20,000 classes, 64 numbers wide, two blocks, 64 examples"),
    "large_vocabulary_162_million": (
        " --classes 50257 --width 768 --blocks 12 --num_examples 8 --batch_size 4 --rounds 2",
        "50,257 classes, 768 numbers wide, twelve blocks, 8 examples",
    ),
}


def large_vocabulary() -> str:
    """Curvature of decoders much of whose weights are their heads'."""
    there = {name: decoder for name, decoder in DECODERS.items() if is_there(name)}
    found = {name: read(name) for name in there}
    quantities = [name for name in found["large_vocabulary"] if name.split(", ")[-1] in LABELS]
    rows = [
        [quantity, *(f"{each[quantity]:.2f}" for each in found.values())] for quantity in quantities
    ]
    decoders = "; ".join(
        f"{each['weights'] / 1e6:.1f} million weights, {there[name][1]} of 32 words, a pass in "
        f"{each['gradient, seconds']:.2f} seconds"
        for name, each in found.items()
    )
    return section(
        "A large vocabulary",
        [f"python benchmarks/large_vocabulary.py{flags}" for flags, _ in there.values()],
        list(found),
        f"Decoders: {decoders}. In gradient passes whose loop over batches is compiled, on a "
        "machine that did other things too. Kronecker factors wider than 4,096 are diagonal:\n",
        table(
            ["quantity", *(f"{each['weights'] / 1e6:.1f} million" for each in found.values())], rows
        ),
    )


def recurrent_layers() -> str:
    """Curvature and effective information of recurrent layers, by their rule and without."""
    found = read("recurrent")
    names = {"lstm": "long short-term memory", "gru": "gated recurrent unit"}
    rows = []
    for cell, name in names.items():
        by_rule, alone = (found[cell][way] for way in ("by the rule", "example by example"))
        for quantity in by_rule:
            if not quantity.startswith("seconds"):
                cells = (f"{by_rule[quantity]:.1f}", f"{alone[quantity]:.1f}")
                rows.append([name, quantity, *cells])
    settings = found["settings"]
    off = max(found[cell]["largest difference of the diagonals"] for cell in names)
    nats = max(found[cell]["difference of the nats"] for cell in names)
    return section(
        "Recurrent layers",
        [found["command"]],
        ["recurrent"],
        "In gradient passes over as many examples of the network with the rule, "
        f"{settings['units']} units over {settings['steps']} steps of {settings['width']} inputs: "
        "by the rule of recurrent layers, and with the same cell where there is none, example by "
        "example. Both give the "
        f"same diagonals, to {off:.0e} of the largest entry, and the same nats, to {nats:.0e}.\n",
        table(["layer", "quantity", "by the rule", "example by example"], rows),
    )


def streams() -> str:
    """Processor seconds by kind of data, and peak memory by length of a stream."""
    found = read("streams")
    alone = found["seconds"]["iterating alone"]
    measures = {name: row for name, row in found["seconds"].items() if name != "iterating alone"}
    rows = [
        [kind, *(f"{row[kind]:.2f}" for row in measures.values()), f"{alone.get(kind, 0.0):.2f}"]
        for kind in next(iter(measures.values()))
    ]
    peaks = ", ".join(
        f"{size:,.0f} MiB for {int(count):,} examples"
        for count, size in found["peak_mebibytes"].items()
    )
    return section(
        "Streams",
        ["python benchmarks/streams.py --output docs/results/streams.json"],
        ["streams"],
        "Processor seconds for 131,072 examples of 100 numbers in batches of 128, on a busy "
        "machine. The last column iterates over the data and does nothing.\n",
        table(["kind of data", *measures, "iterating alone"], rows),
        "Peak memory of a process that counts states and takes a Fisher diagonal of a generator's "
        f"stream: {peaks}.\n",
    )


def precision() -> str:
    """Deviations of networks in reduced precision."""
    found = read("precision")
    policies = list(next(iter(found["mlp"].values())))
    rows = [
        [measure, *(f"{found[name][measure][p]:.0e}" for name in NETWORKS for p in policies)]
        for measure in found["mlp"]
    ]
    head = ["measure", *(f"{p}, {name}" for name in ("perceptron", "CNN") for p in policies)]
    return section(
        "Reduced precision",
        ["python benchmarks/precision.py --output docs/results/precision.json"],
        ["precision"],
        "Relative deviations from float64 on the same weights; of vectors the norm of the "
        "difference over the norm.\n",
        table(head, rows),
    )
