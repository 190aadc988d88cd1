"""Claims of the papers that are identities, with their criteria, written before the run."""

from reproduction.frame.verdicts import verdict

CLAIMS = {
    "1-i": "I(z; x) + TC(z) of a noisy linear layer falls with the noise, between two bounds.",
    "1-j": "What a representation tells about a nuisance is at most I(z; x) - I(x; y).",
    "2-e": "At beta = 1 and y = x the objective is that of a variational autoencoder.",
    "2-f": "The closed forms of the costs are the divergences they stand for.",
    "3-a": "With a quadratic loss the corrected covariance is optimal; the printed one is half.",
    "3-b": "The mean divergence from a prior is I(w; D) plus that of the marginal from the prior.",
    "3-c": "Information in the weights is the slope of the least Lagrangian over beta.",
    "3-d": "For logistic regression the Hessian is the Fisher matrix.",
    "3-g": "Fisher information of activations scales with that of the weights, monotonically.",
    "4-c": "Maximally informative samples follow a power law; mu = 1 maximises H[s] + H[K].",
}
CRITERIA = {
    "1-i": "per unit: falls with alpha, at least g(alpha), less than 0.02 nats above it",
    "1-j": "no violation above 1e-9 nats in 1,000 random problems, sufficiency within 1e-5 nats",
    "2-e": "loss and every gradient equal within 1e-5 relative",
    "2-f": "within 4 standard errors of the Monte-Carlo mean; differences constant within 1e-5",
    "3-a": "nats and Lagrangian equal within 1e-6 relative; trace ratio at small beta within "
    "1e-4 of 1/2; printed minus true of equation 8 within 1e-9 of -k/2",
    "3-b": "equal within 1e-12 nats",
    "3-c": "slope and information equal within 1e-6 relative, for both",
    "3-d": "largest difference below 1e-10 of the largest entry",
    "3-g": "scaling within 1e-8 relative; smallest eigenvalue of the difference above -1e-9 of "
    "the largest",
    "4-c": "fitted exponent within 1e-3 of -mu; slopes of the curve bracket -mu; H[s] + H[K] "
    "largest at mu = 1",
}


def judge(found: dict[str, dict]) -> dict[str, dict]:
    """The verdict on each claim: it holds or it does not."""
    return {
        number: {
            "setting": record["setting"],
            "measured": record["measured"],
            "verdict": verdict(record["holds"]),
            "criterion": CRITERIA[number],
            "numbers": record["numbers"],
        }
        for number, record in found.items()
    }
