"""Diagonals and products with `torch.func` alone, as they are written where no package is used."""

import torch
from torch import nn
from torch.func import functional_call, grad, jacrev, jvp, vjp, vmap

__all__ = ["GRADIENTS", "torch_func_runs"]

# Examples whose gradients or Jacobians are held at once: of 10, 25, 50, 125 and 250 the fastest,
# both networks of sequences together.
GRADIENTS, JACOBIANS = 125, 10


def torch_func_runs(model, batches):
    """Quantities of a network for classification, means over examples, by name."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    vector = {name: torch.randn_like(p) for name, p in parameters.items()}
    count = sum(len(x) for x, _ in batches)

    def logits_of(weights, x):
        return functional_call(model, weights, (x,))

    def loss_of(weights, x, y):
        return nn.functional.cross_entropy(logits_of(weights, x), y, reduction="sum")

    def loss_of_one(weights, x, y):
        return loss_of(weights, x[None], y[None])

    def squares(x, y):
        gradients = vmap(grad(loss_of_one), (None, 0, 0), chunk_size=GRADIENTS)(parameters, x, y)
        return {name: g.square().sum(0) for name, g in gradients.items()}

    def sampled(x, _):
        with torch.no_grad():
            probabilities = model(x).softmax(-1)
        return squares(x, torch.multinomial(probabilities, 1)[:, 0])

    def expected_of_one(x):
        def scaled(weights):  # the squares of its gradients are weighted by the probabilities
            log_probabilities = logits_of(weights, x[None])[0].log_softmax(-1)
            return (log_probabilities.detach() / 2).exp() * log_probabilities

        return {name: j.square().sum(0) for name, j in jacrev(scaled)(parameters).items()}

    def expected(x, _):
        diagonals = vmap(expected_of_one, chunk_size=JACOBIANS)(x)
        return {name: d.sum(0) for name, d in diagonals.items()}

    def fisher_product(x, _):
        def of(weights):
            return logits_of(weights, x)

        _, change = jvp(of, (parameters,), (vector,))
        logits, back = vjp(of, parameters)
        p = logits.softmax(-1)
        return back(p * change - p * (p * change).sum(-1, keepdim=True))[0]

    def hessian_product(x, y):
        return jvp(lambda w: grad(loss_of)(w, x, y), (parameters,), (vector,))[1]

    def run_of(part):
        def run():
            total = None
            for x, y in batches:
                found = [value / count for value in part(x, y).values()]
                total = (
                    found if total is None else [a + b for a, b in zip(total, found, strict=True)]
                )
            return total

        return run

    return {
        "torch.func diagonal, empirical": run_of(squares),
        "torch.func diagonal, sampled": run_of(sampled),
        "torch.func diagonal, expected": run_of(expected),
        "torch.func fisher-vector product": run_of(fisher_product),
        "torch.func hessian-vector product": run_of(hessian_product),
    }
