"""Networks of others through everything: what an audit takes, and what is left of predictions."""

from benchmark_tables.markdown import read, section, table

__all__ = ["networks_of_others"]

HEAD = ("network", "weights", "layers", "clock", "foretold", "taken", "numbers", "omissions")
STEPS = {
    "converted": ("conversion", "difference_with_noise"),
    "and back": ("conversion", "difference_back"),
    "saved": ("saving", "difference"),
    "exported": ("export", "difference"),
    "LiteRT": ("export litert", "difference"),
}


def networks_of_others() -> str:
    """One row for each network, of those that were tried."""
    found = read("pretrained_networks")
    networks = found["networks"]
    seconds = [_seconds(name, steps) for name, steps in networks.items()]
    differences = [
        [name, *(_difference(steps.get(step, {}), of) for step, of in STEPS.values())]
        for name, steps in networks.items()
    ]
    parts = [
        "Networks of others, as their packages ship them or at random weights, through a dry run "
        "and an audit with its defaults: seconds foretold and taken, of the clock that is named "
        "(the wall's is that of a busy machine), numbers in the report, and kinds of omission.\n",
        table(HEAD, seconds),
        "Largest differences of predictions after noise is put on the weights, after it is taken "
        "off again, of the network with noise saved and loaded, exported for TensorFlow, and of "
        "the one without for LiteRT. What was said where a step failed stands below.\n",
        table(["network", *STEPS], differences),
    ]
    refused = {
        each["failed"]: name
        for name, steps in networks.items()
        for each in steps.values()
        if "failed" in each
    }
    parts += [f"- {name}: {sentence}\n" for sentence, name in refused.items()]
    return section("Networks of others", [found["command"]], ["pretrained_networks"], *parts)


def _seconds(name: str, steps: dict) -> list[str]:
    """What was said beforehand, and what it took."""
    load, dry_run, audit = steps["load"], steps.get("dry run", {}), steps.get("audit", {})
    told = dry_run.get("foretold_seconds"), audit.get("taken_seconds")
    return [
        *(name, f"{load['weights']:,}", str(load["layers"]), dry_run.get("clock", "-")),
        *(f"{each:.0f}" if each else "-" for each in told),
        *(str(audit.get("readings", "-")), str(len(audit.get("omissions", ())) or "-")),
    ]


def _difference(step: dict, of: str) -> str:
    """A difference, or that there is none."""
    if "failed" in step:
        return "failed"
    return f"{step[of]:.0e}" if step.get(of) else "0" if of in step else "-"
