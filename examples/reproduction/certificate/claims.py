"""Verdict of the experiment, computed from its records alone."""

from reproduction.frame.verdicts import verdict

CLAIMS = {
    "3-thm-2.2": "Training loss and information in the weights bound the error on new data.",
}


def judge(rows: dict[str, dict], settings: dict) -> dict[str, dict]:
    """The verdict on theorem 2.2: the bounds hold, and they are not vacuous."""
    bounds = {
        name: {
            "posterior": row["certificate"]["error_bound"],
            "prior alone": row["certificate_of_the_prior"]["error_bound"],
            "goal": row["plan"]["goal"],
            "error on the test set": row["randomized_error_on_the_test_set"],
            "nats": row["certificate"]["kl"],
        }
        for name, row in rows.items()
    }
    honest = all(row["error on the test set"] <= row["posterior"] for row in bounds.values())
    tight = all(row["posterior"] <= row["goal"] for row in bounds.values())
    first = next(iter(rows.values()))
    certificate = first["certificate"]
    return {
        "3-thm-2.2": {
            "setting": f"{settings['data']}, prior from {first['num_prior_examples']} images, "
            f"certified on {certificate['num_examples']} others with probability "
            f"{certificate['confidence']:.1%}",
            "measured": "; ".join(
                f"{name}: error at most {row['posterior']:.2%} (goal {row['goal']:.1%}; prior "
                f"alone {row['prior alone']:.2%}), {row['error on the test set']:.2%} on the test "
                f"set, {row['nats']:.1f} nats"
                for name, row in bounds.items()
            ),
            "verdict": verdict(honest and tight, honest),
            "criterion": "no certified error below that on the test set, and none above its goal, "
            "2.8 % for the perceptron and 1.6 % for the convolutional network, set for MNIST; "
            "partly: the first",
            "numbers": bounds,
        }
    }
