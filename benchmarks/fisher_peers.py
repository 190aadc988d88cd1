"""The torch side of `benchmarks/fisher.py`: run by it, in an environment of its own.

Needs torch, backpack-for-pytorch, curvlinops-for-pytorch, nngeometry, laplace-torch. What is not
installed, or fails, is left out with a line that says so. The unit is a plain gradient pass; of an
LSTM that of `nn.LSTM`, also for what is measured on a loop over its steps.
"""

import sys
import time

import numpy as np
import sequence_peers
import torch
from torch import nn
from torch_func_peers import GRADIENTS, torch_func_runs

torch.set_num_threads(1)


def network(name, elementary=False):
    """The same networks, channels first; sequences in elementary layers or as in a plain pass."""
    if name in sequence_peers.SEQUENCES:
        return sequence_peers.SEQUENCES[name][elementary]()
    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Linear(512, 10),
        )
    # TensorFlow pads a stride of two behind only: explicit padding keeps the function the same.
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(32, 64, 3, stride=2),
        nn.ReLU(),
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(64, 64, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3136, 10),
    )


def load_weights(model, weights):
    """Keras' weights in torch's order of axes."""
    if not isinstance(model, nn.Sequential):
        sequence_peers.load_weights(model, weights)
        return
    modules = [m for m in model if isinstance(m, (nn.Linear, nn.Conv2d))]
    for module, kernel, bias in zip(modules, weights[::2], weights[1::2], strict=True):
        if kernel.ndim == 4:
            kernel = kernel.transpose(3, 2, 0, 1)
        else:
            if kernel.shape[0] == 3136:
                kernel = kernel.reshape(7, 7, 64, 10).transpose(2, 0, 1, 3).reshape(3136, 10)
            kernel = kernel.T
        module.weight.data = torch.tensor(np.ascontiguousarray(kernel))
        module.bias.data = torch.tensor(bias)


def in_keras_order(model, values):
    """One tensor per parameter, flat, in Keras' order of axes."""
    if not isinstance(model, nn.Sequential):
        return sequence_peers.in_keras_order(model, values)
    flat = []
    for parameter, value in zip(model.parameters(), values, strict=True):
        value = value.detach().numpy().reshape(parameter.shape)
        if value.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        elif value.ndim == 2:
            value = value.T
            if value.shape[0] == 3136:
                value = value.reshape(64, 7, 7, 10).transpose(1, 2, 0, 3).reshape(3136, 10)
        flat.append(value.ravel())
    return np.concatenate(flat).astype(np.float64)


def gradient_pass(model, batches):
    """The unit of every time."""

    def run():
        total = None
        for x, y in batches:
            loss = nn.functional.cross_entropy(model(x), y)
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            total = (
                gradients
                if total is None
                else [a + b for a, b in zip(total, gradients, strict=True)]
            )
        return total

    return run


def backpack_runs(model, batches):
    """BackPACK: one extension per quantity."""
    from backpack import backpack, extend, extensions

    extended = extend(sequence_peers.as_chain(model))
    loss_of = extend(nn.CrossEntropyLoss(reduction="sum"))

    def run_of(extension, read):
        def run():
            total = None
            for x, y in batches:
                model.zero_grad()
                loss = loss_of(extended(x), y)
                with backpack(extension):
                    loss.backward()
                parts = [read(p) for p in model.parameters()]
                total = (
                    parts if total is None else [a + b for a, b in zip(total, parts, strict=True)]
                )
            return [t / sum(len(x) for x, _ in batches) for t in total]

        return run

    def kfac():
        for x, y in batches:
            model.zero_grad()
            loss = loss_of(extended(x), y)
            with backpack(extensions.KFAC(mc_samples=1)):
                loss.backward()

    return {
        "BackPACK diagonal, empirical": run_of(
            extensions.SumGradSquared(), lambda p: p.sum_grad_squared
        ),
        "BackPACK diagonal, sampled": run_of(
            extensions.DiagGGNMC(mc_samples=1), lambda p: p.diag_ggn_mc
        ),
        "BackPACK diagonal, expected": run_of(
            extensions.DiagGGNExact(), lambda p: p.diag_ggn_exact
        ),
        "BackPACK kronecker, sampled": kfac,
    }


def nngeometry_runs(model, batches):
    """nngeometry: diagonal and Kronecker Fisher."""
    from nngeometry.metrics import FIM, FIM_MonteCarlo
    from nngeometry.object import PMatDiag, PMatKFAC
    from torch.utils.data import DataLoader, TensorDataset

    x = torch.cat([b for b, _ in batches])
    y = torch.cat([b for _, b in batches])
    loader = DataLoader(TensorDataset(x, y), batch_size=len(batches[0][0]))

    def run_of(kind, estimator):
        return lambda: estimator(model, loader, kind, "classif_logits")

    def diagonal_of(estimator):
        def run():
            values = run_of(PMatDiag, estimator)().get_diag()
            return list(torch.split(values, [p.numel() for p in model.parameters()]))

        return run

    return {
        "nngeometry diagonal, sampled": diagonal_of(FIM_MonteCarlo),
        "nngeometry diagonal, expected": diagonal_of(FIM),
        "nngeometry kronecker, sampled": run_of(PMatKFAC, FIM_MonteCarlo),
    }


def curvlinops_runs(model, batches):
    """curvlinops: products with the Gauss-Newton matrix and the Hessian, and Kronecker factors."""
    import curvlinops

    loss_of = nn.CrossEntropyLoss()
    parameters = list(model.parameters())
    vector = torch.randn(sum(p.numel() for p in model.parameters()))

    def product_of(kind):
        operator = kind(model, loss_of, parameters, batches, check_deterministic=False)
        return lambda: operator @ vector

    # Kronecker factors are of these layers only; layer normalisation is left out.
    layers = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    factored = [p for layer in layers for p in layer.parameters()]
    short = vector[: sum(p.numel() for p in factored)]

    def kfac():
        operator = curvlinops.KFACLinearOperator(
            model, loss_of, factored, batches, fisher_type="mc", check_deterministic=False
        )
        return operator @ short

    return {
        "curvlinops fisher-vector product": product_of(curvlinops.GGNLinearOperator),
        "curvlinops hessian-vector product": product_of(curvlinops.HessianLinearOperator),
        "curvlinops kronecker, sampled": kfac,
    }


def laplace_runs(model, batches):
    """laplace-torch: the diagonal through its default backend, of sequences through another.

    The default one leaves out the terms between positions. The other takes the gradients of single
    examples. It is slower than `torch.func` for the expected diagonal, which is left out.
    """
    from laplace.curvature import AsdlEF, AsdlGGN, CurvlinopsEF

    def run_of(kind, size=None):
        backend = kind(model, "classification")
        parts = [
            part
            for x, y in batches
            for part in zip(x.split(size or len(x)), y.split(size or len(x)), strict=True)
        ]

        def run():
            total = 0
            for x, y in parts:
                _, diagonal = backend.diag(x, y, N=len(x))
                total = total + diagonal
            sizes = [p.numel() for p in model.parameters()]
            return list(torch.split(total / sum(len(x) for x, _ in parts), sizes))

        return run

    if not isinstance(model, nn.Sequential):
        return {"laplace-torch diagonal, empirical": run_of(CurvlinopsEF, GRADIENTS)}
    return {
        "laplace-torch diagonal, empirical": run_of(AsdlEF),
        "laplace-torch diagonal, expected": run_of(AsdlGGN),
    }


PACKAGES = (torch_func_runs, backpack_runs, nngeometry_runs, curvlinops_runs, laplace_runs)


def main(name, task, answer, batch_size, rounds, *quantities):
    """Times every package in turns, and writes ratios and diagonals; of some quantities only."""
    with np.load(task, allow_pickle=False) as archive:
        x, y = archive["x"], archive["y"]
        count = sum(key.startswith("weight_") for key in archive.files)
        weights = [archive[f"weight_{i}"] for i in range(count)]
    x = torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    y = torch.tensor(y)
    batches = [(x[i : i + batch_size], y[i : i + batch_size]) for i in range(0, len(x), batch_size)]

    def fresh(elementary=True):
        model = network(name, elementary)
        load_weights(model, weights)
        return model

    runs, models = {"gradient": gradient_pass(fresh(elementary=False), batches)}, {}
    for make in PACKAGES:
        model = fresh(elementary=make is not backpack_runs)
        try:
            found = make(model, batches)
        except Exception as error:
            print(f"left out: {make.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        if quantities:
            found = {k: v for k, v in found.items() if k.endswith(quantities)}
        runs.update(found)
        models.update(dict.fromkeys(found, model))
    results, best = {}, {}
    for key in list(runs):
        try:
            value = runs[key]()
        except Exception as error:
            print(f"left out: {key}: {type(error).__name__}: {error}", file=sys.stderr)
            del runs[key]
            continue
        if "diagonal" in key and "sampled" not in key:
            results[key] = in_keras_order(models[key], value)
        best[key] = np.inf
    for _ in range(rounds):
        for key, run in runs.items():
            start = time.perf_counter()
            run()
            best[key] = min(best[key], time.perf_counter() - start)
    results["seconds gradient"] = best["gradient"]
    for key, seconds in best.items():
        if key != "gradient":
            results[f"time {key}"] = seconds / best["gradient"]
    np.savez(answer, **results)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), *sys.argv[6:])
