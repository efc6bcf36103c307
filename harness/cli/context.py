"""What commands work with, in one object, so that tests can run whole commands with fakes."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.catalog import Catalog, Training
    from harness.records.store import Store
    from harness.runs.services import Machine


def _machine() -> "Machine":
    from harness.runs.services import LocalMachine

    return LocalMachine()


def _catalog() -> "Catalog":
    from harness.catalog import load_catalog

    return load_catalog()


def _training() -> "Training":
    from harness.catalog import load_training

    return load_training()


def _cache() -> Path:
    from harness.systems.artifact_cache import default_cache

    return default_cache()


@dataclass(frozen=True, slots=True)
class CliContext:
    """Factories of machine, catalog, training and cache; the file of defaults; the environment."""

    machine: "Callable[[], Machine]" = _machine
    catalog: "Callable[[], Catalog]" = _catalog
    training: "Callable[[], Training]" = _training
    cache: Callable[[], Path] = _cache
    defaults: Path = Path("bench.yaml")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def store_folder(self, option: Path | None) -> Path:
        """Return the store's folder: the option, `BENCH_STORE`, or `./results`."""
        return option or Path(self.environ.get("BENCH_STORE") or "results")

    def open_store(self, option: Path | None) -> "Store":
        """Return the store in `store_folder`."""
        from harness.records.store import Store

        return Store(self.store_folder(option))
