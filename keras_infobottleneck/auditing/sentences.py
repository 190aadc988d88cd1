"""What a report says first, in whole sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_infobottleneck.auditing.readings import number_in_words

if TYPE_CHECKING:
    from keras_infobottleneck.auditing.report import InformationReport

__all__ = ["in_short"]


def in_short(report: InformationReport) -> list[str]:
    """A sentence on the task, on the weights, on each kind of layer and on what is missing."""
    sentences = []
    task, held, complexity = report.task, report.weights, report.complexity
    if task is not None and task.accuracy is not None:
        sentences.append(
            f"It is right on {task.accuracy:.2%} of {task.num_examples:,} of the examples given, "
            f"at a loss of {task.loss:.3g} nats."
        )
    elif task is not None:
        law = ""
        if task.likelihood == "normal":
            law = ", of a normal law with variance 1 around the output, whatever the labels' scale"
        sentences.append(
            f"Its loss on {task.num_examples:,} examples is {task.loss:.4g} nats{law}."
        )
    if held is not None:
        paid = held.structure == "posterior"
        labels = ""
        if task is not None and task.label_entropy is not None:
            labels = f", where one label holds at most {task.label_entropy:.3g}"
        sentences.append(
            f"Its weights {'pay for' if paid else 'hold, by their Gaussian code,'} "
            f"{number_in_words(held.nats)} nats: {held.nats_per_example:.3g} per example{labels}."
        )
    if report.noise_is_large:
        sentences.append(
            "These nats are good to a factor of two or three at best: the code's noise would add "
            f"{held.excess_loss:.3g} nats of loss, which is not small."
        )
    for name, layer in report.layers.items():
        if layer.activations is not None:
            sentences.append(
                f"Layer {name} pays for {number_in_words(layer.activations.nats)} nats about each "
                "input."
            )
    told = {
        name: layer.nuisance for name, layer in report.layers.items() if layer.nuisance is not None
    }
    if told:
        name, most = max(told.items(), key=lambda item: item[1].nats)
        sentences.append(
            f"Of the nuisance, layer {name} tells most: {most.nats:.3g} ± "
            f"{most.standard_error:.2g} nats (null {most.null:.2g})."
        )
    if complexity is not None:
        sentences.append(
            f"Quantised to {complexity.num_bits} bits, its weights are "
            f"{complexity.shuffled_ratio:.4g} times as complex as when shuffled."
        )
    if report.omissions:
        sentences.append(
            f"{len(report.omissions)} things were not measured; the reasons are below."
        )
    return sentences
