"""Audits: all measurements of one model as a report, and the parts of the report."""

from keras_infobottleneck.auditing.auditor import audit
from keras_infobottleneck.auditing.entries import Measure, Omission, Reading, Verdict
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing
from keras_infobottleneck.auditing.findings import Findings, LayerInformation
from keras_infobottleneck.auditing.part import AuditPart, LayerPart
from keras_infobottleneck.auditing.parts.geometry import Geometry
from keras_infobottleneck.auditing.plan import AuditPlan
from keras_infobottleneck.auditing.report import InformationReport
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject

__all__ = [
    "AuditPart",
    "AuditPlan",
    "Drawing",
    "Examination",
    "Findings",
    "Geometry",
    "HiddenLayer",
    "InformationReport",
    "LayerInformation",
    "LayerPart",
    "Measure",
    "Omission",
    "Reading",
    "Subject",
    "Verdict",
    "audit",
]
