"""The verdict on a group: its fastest variant within the permitted loss of quality.

records of a group --Candidates--> choose --> GroupVerdict --sentences, JSON--> report
"""

from harness.analysis.verdict.choose import Candidate, Group, choose
from harness.analysis.verdict.handover import ExportPaths, export_command
from harness.analysis.verdict.model import (
    DEFAULT_QUALITY_LOSS,
    GroupVerdict,
    Outcome,
    PassedOver,
    QualityLoss,
    Reference,
    ServedRate,
)
from harness.analysis.verdict.references import references_of

__all__ = [
    "DEFAULT_QUALITY_LOSS",
    "Candidate",
    "ExportPaths",
    "Group",
    "GroupVerdict",
    "Outcome",
    "PassedOver",
    "QualityLoss",
    "Reference",
    "ServedRate",
    "choose",
    "export_command",
    "references_of",
]
