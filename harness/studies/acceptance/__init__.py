"""The acceptance of hardware: what the energy counters of a machine do, in an archive that others can replay.

counters --record_counters--> rows --examine--> findings
kernel files, a short run ---------------------------> FILE.zip --read_archive--> the same findings
"""

from harness.studies.acceptance.archive import ArchivedRun, read_archive, unpack_run, write_archive
from harness.studies.acceptance.findings import examine
from harness.studies.acceptance.model import Acceptance
from harness.studies.acceptance.study import accept, short_run
from harness.studies.acceptance.verification import verify_findings

__all__ = [
    "Acceptance",
    "ArchivedRun",
    "accept",
    "examine",
    "read_archive",
    "short_run",
    "unpack_run",
    "verify_findings",
    "write_archive",
]
