"""Operating systems: measuring rests on Linux, and what only reads records also works on macOS.

Nothing is imported here that Windows lacks, so that the check comes before anything fails.
"""

from collections.abc import Sequence

MEASURING = (
    *("run", "prepare", "ladder", "search", "roofline", "train", "predict", "export", "doctor"),
    *("optimize", "tune"),  # former names
)
"""Commands that start workers or read the machine; `gate` does with `--base`."""

NAMES = {"darwin": "macOS", "win32": "Windows", "cygwin": "Cygwin"}


def why_not_here(platform: str, arguments: Sequence[str]) -> str | None:
    """Return why a command cannot run on an operating system (`sys.platform`); None if it can."""
    if platform.startswith("linux"):
        return None
    here = NAMES.get(platform, platform)
    if platform != "darwin":
        return (
            f"bench needs Linux, and this is {here}: use a Linux machine, a container, or WSL 2 on Windows."
        )
    if "--help" in arguments or not _measures(arguments):
        return None
    return (
        f"measuring needs Linux, and this is {here}: use a Linux machine or a container; list, report, "
        "compare, track and verify work here on records from there."
    )


def _measures(arguments: Sequence[str]) -> bool:
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    return command in MEASURING or (
        command == "gate" and any(argument.partition("=")[0] == "--base" for argument in arguments)
    )
