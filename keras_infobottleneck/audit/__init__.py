"""Everything measured of one model, as one report."""

from keras_infobottleneck.audit.auditing import audit
from keras_infobottleneck.audit.omission import Omission
from keras_infobottleneck.audit.plan import AuditPlan
from keras_infobottleneck.audit.report import InformationReport, LayerInformation

__all__ = ["AuditPlan", "InformationReport", "LayerInformation", "Omission", "audit"]
