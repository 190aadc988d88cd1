"""Figure of the experiment, from its records."""

import matplotlib
import numpy as np

from reproduction.random_labels.transition import at, column, lagrangian, per_label, transition

matplotlib.use("Agg")

import matplotlib.pyplot as plt


def plot(records: list[dict], widths: list[dict], settings: dict, path: str) -> None:
    """Phase diagrams; codes and theory; information; test error."""
    figure, axes = plt.subplots(2, 4, figsize=(19, 8), layout="constrained")
    panels = [(1.0, "accuracy", "random labels: training accuracy")]
    panels += [(0.0, "accuracy", "real labels: training accuracy")]
    panels += [(0.0, "test_accuracy", "real labels: test accuracy")]
    for axis, (share, name, title) in zip(axes[0], panels, strict=False):
        colours = plot_phases(axis, records, settings, share, name)
        axis.set(title=title, xlabel="examples N", ylabel="beta", xscale="log", yscale="log")
        axis.set_xticks(settings["sizes"], settings["sizes"])
        axis.minorticks_off()
        axis.set_ylim(*edges(settings["real_betas"])[[0, -1]])
    figure.colorbar(colours, ax=axes[0, 2])
    plot_codes(axes[0, 3], records, settings)
    plot_crossing(axes[1, 0], records, settings)
    plot_information(axes[1, 1], axes[1, 2], records, settings)
    plot_error(axes[1, 3], records, widths, settings)
    figure.savefig(path, dpi=75)
    plt.close(figure)


def plot_phases(axis, records, settings, share, name):
    """Colour by size and price; the half-way line, and where theory has the crossing."""
    sizes = settings["sizes"]
    found = [column(records, settings, size, share) for size in sizes]
    values = [np.mean([r[name] for r in of_size], axis=0) for of_size in found]
    betas = found[0][0]["betas"]
    axis.set_facecolor("0.8")
    colours = axis.pcolormesh(edges(sizes), edges(betas), np.transpose(values), vmin=0, vmax=1)
    if name == "accuracy":
        turns = [[transition(r, settings) for r in of_size] for of_size in found]
        for key, style, label in (("beta", "wo-", "half-way"), ("crossing", "r--", "crossing")):
            mean = [np.mean([t[key] for t in of_size]) for of_size in turns]
            axis.plot(sizes, mean, style, label=label)
        axis.axhline(1.0, color="w", linestyle=":", linewidth=1)
        axis.legend(fontsize=9, loc="upper left")
    return colours


def edges(centres) -> np.ndarray:
    """Half-way between neighbours on a logarithmic scale, and as far beyond the first and last."""
    logs = np.log(centres)
    inner = (logs[1:] + logs[:-1]) / 2
    return np.exp([2 * logs[0] - inner[0], *inner, 2 * logs[-1] - inner[-1]])


def plot_codes(axis, records, settings):
    """Training accuracy on random labels against the price, code by code."""
    for code, found in by_code(records, settings).items():
        axis.plot(found[0]["betas"], np.mean([r["accuracy"] for r in found], axis=0), label=code)
    axis.axvline(1.0, color="k", linestyle=":")
    axis.set(title="random labels, code by code", xlabel="beta", xscale="log")
    axis.set_ylabel("training accuracy")
    axis.legend(fontsize=8, labelspacing=0.2, framealpha=0.5)


def plot_crossing(axis, records, settings):
    """Objective against the price: memorising pays while it is below log(classes)."""
    for code, found in by_code(records, settings).items():
        axis.plot(found[0]["betas"], np.mean([lagrangian(r) for r in found], axis=0), label=code)
    log_classes = np.log(settings["num_classes"])
    betas = np.geomspace(0.05, 1, 50)
    (ideal,) = axis.plot(betas, betas * log_classes, "k:", label="ideal code")
    nothing = axis.axhline(log_classes, color="k", linewidth=1, label="nothing learned")
    axis.legend(
        handles=[ideal, nothing],
        title="codes: top right panel",
        fontsize=9,
        title_fontsize=9,
        loc="upper right",
    )
    axis.set(title="memorising pays below the line", xlabel="beta", xscale="log")
    axis.set(ylabel="cross-entropy + beta nats / example", ylim=(0, 2 * log_classes))


def plot_information(left, right, records, settings):
    """Nats against N, and against the share of random labels."""
    sizes, beta = settings["sizes"], settings["random_betas"][0]
    for share, label in ((1.0, "random labels"), (0.0, "real labels")):
        found = [column(records, settings, size, share) for size in sizes]
        nats = [[at(r, beta, "information") for r in of_size] for of_size in found]
        left.errorbar(sizes, np.mean(nats, 1), np.std(nats, 1), fmt="o-", label=label)
    left.plot(
        sizes, np.log(settings["num_classes"]) * np.array(sizes), "k:", label="N log(classes)"
    )
    left.set(title=f"information at beta = {beta:g}", xlabel="examples N", ylabel="nats")
    left.legend(fontsize=9)
    shares, size = sorted({0.0, 1.0, *settings["corrupted"]}), sizes[len(sizes) // 2]
    found = [column(records, settings, size, share) for share in shares]
    nats = [[per_label(r)[r["betas"].index(beta)] for r in of_share] for of_share in found]
    right.errorbar(shares, np.mean(nats, 1), np.std(nats, 1), fmt="o-")
    right.axhline(np.log(settings["num_classes"]), color="k", linestyle=":", label="log(classes)")
    right.legend(fontsize=9)
    right.set(title=f"N = {size}, beta = {beta:g}", xlabel="share of random labels")
    right.set_ylabel("nats / example")


def plot_error(axis, records, widths, settings):
    """Test error against the price, and against the number of parameters."""
    size = settings["sizes"][len(settings["sizes"]) // 2]
    for share in (0.0, *settings["corrupted"]):
        found = column(records, settings, size, share)
        error = 1 - np.array([r["test_accuracy"] for r in found])
        axis.errorbar(
            found[0]["betas"], error.mean(0), error.std(0), label=f"price, {share:.0%} random"
        )
    axis.set(title=f"test error, N = {size}", xlabel="beta", xscale="log", ylabel="test error")
    above = axis.twiny()
    parameters = sorted({w["parameters"] for w in widths})
    error = [
        np.mean([1 - w["test_accuracy"] for w in widths if w["parameters"] == p])
        for p in parameters
    ]
    above.plot(parameters, error, "k.--")
    above.set(xlabel="parameters, no price (dashed)", xscale="log")
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.5 * (high - low))  # room for the legend
    axis.legend(fontsize=9, loc="upper left")


def by_code(records, settings) -> dict[str, list[dict]]:
    """Records on random labels at the size at which codes are compared."""
    return {
        code: [
            r
            for r in records
            if (r["code"], r["size"], r["share"]) == (code, settings["compared_size"], 1.0)
        ]
        for code in [*settings["compared"], settings["code"]]
    }
