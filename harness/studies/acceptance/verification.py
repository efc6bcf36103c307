"""The check of an archive's findings against its recorded values."""

from importlib.metadata import version

from harness.analysis.verification import VerificationCheck
from harness.studies.acceptance.findings import examine
from harness.studies.acceptance.model import Acceptance


def verify_findings(acceptance: Acceptance) -> VerificationCheck:
    """Return whether the recorded values lead to the findings; those of another version are not compared."""
    check = VerificationCheck("findings", "the recorded counters show what the archive states")
    installed = version("fastformers-bench")
    if acceptance.version != installed:
        check.skip(f"bench {acceptance.version} made the findings, and this is {installed}")
        return check
    if not acceptance.counters:
        check.skip("no energy counter could be read on that machine")
    computed = examine(acceptance.counters, acceptance.phases)
    stated = acceptance.findings
    for name in sorted({*computed, *stated}):
        check.same("acceptance.json", name, stated.get(name), computed.get(name))
    return check
