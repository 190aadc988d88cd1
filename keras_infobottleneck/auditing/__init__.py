"""Everything measured of one model, as one report."""

from keras_infobottleneck.auditing.audit import audit
from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.layers import LayerInformation
from keras_infobottleneck.auditing.plan import AuditPlan
from keras_infobottleneck.auditing.report import InformationReport

__all__ = ["AuditPlan", "InformationReport", "LayerInformation", "Omission", "audit"]
