"""`bench check`: whether files hold only options, names and rules that the program takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.config_file import SETUP, read_options
from harness.cli.options.units import plural, split_names
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.runs.planning.sweep_file import Setting, SweepConfig

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="FILE...", help="Files to check (default: bench.yaml).")
]


def check(typer_context: typer.Context, context: CliContext, files: Files = None) -> None:
    """Check bench.yaml, or files for --config: options, names, rules."""
    for path in files or [context.defaults]:
        if not path.exists():
            raise UsageError(
                "there is no such file.", where=str(path), remedy="docs/howto/ci.md has an example."
            )
        config = read_options(typer_context, path)
        _check_defaults(config, path)
        _check_names(config, context.catalog())
        rules = _count_rules(path)
        options = len(config.settings) + len(config.axes)
        typer.echo(f"{path}: {plural(options, 'option')}, {plural(rules, 'rule')}.")


def _check_defaults(config: "SweepConfig", path: Path) -> None:
    """Refuse a sweep in a file of defaults, and a gate's setup command in any other."""
    is_default = path.name in ("bench.yaml", "bench.yml")
    if config.axes and is_default:
        raise UsageError(
            "a sweep cannot be a default.",
            where=str(path),
            remedy="Put it into a file for `bench run --config`.",
        )
    if SETUP in config.settings and not is_default:
        raise UsageError(
            "is for a gate only.", where=config.settings[SETUP].where, remedy="Put it into bench.yaml."
        )


def _count_rules(path: Path) -> int:
    """Return how many rules a file has; UsageError for one that is not sound."""
    from harness.analysis.gate.rules import SECTION, parse_rules
    from harness.common.inputs.yaml_text import read_yaml

    sections = read_yaml(path).value or {}
    return len(parse_rules(sections[SECTION], path.name)) if SECTION in sections else 0


def _check_names(config: "SweepConfig", catalog: "Catalog") -> None:
    """Raise UsageError, with the line, for a task, variant, scenario or profile that does not exist."""
    from harness.common.errors import unknown_name
    from harness.records.plan import PROFILES
    from harness.workload.scenarios import SCENARIOS
    from harness.workload.tasks import TASKS
    from harness.workload.tasks.custom import CUSTOM

    allowed = {
        "task": ("task", [*TASKS, CUSTOM, "all"]),
        "variants": ("variant", list(catalog.variants)),
        "scenario": ("scenario", list(SCENARIOS)),
        "profile": ("profile", list(PROFILES)),
    }
    for option, (kind, names) in allowed.items():
        setting = config.settings.get(option)
        for name in _names(setting):
            if setting and name not in names:
                error = unknown_name(kind, name, names)
                raise UsageError(error.message, where=setting.where, remedy=error.remedy)


def _names(setting: "Setting | None") -> tuple[str, ...]:
    return split_names(str(setting.value)) if setting else ()
