"""The parts of a report, in its order."""

from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.parts.activations import Activations
from keras_infobottleneck.auditing.parts.complexity import Complexity
from keras_infobottleneck.auditing.parts.effective import Effective
from keras_infobottleneck.auditing.parts.examples import Examples
from keras_infobottleneck.auditing.parts.fisher import Fisher
from keras_infobottleneck.auditing.parts.nuisance import Nuisance
from keras_infobottleneck.auditing.parts.relevance import Relevance
from keras_infobottleneck.auditing.parts.task import Task
from keras_infobottleneck.auditing.parts.total_correlation import TotalCorrelation
from keras_infobottleneck.auditing.parts.weights import Weights

__all__ = ["PARTS"]

PARTS: tuple[AuditPart, ...] = (
    Task(),
    Fisher(),
    Weights(),
    Examples(),
    Activations(),
    Effective(),
    Relevance(),
    TotalCorrelation(),
    Nuisance(),
    Complexity(),
)
