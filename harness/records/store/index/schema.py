"""The tables and views of the index: their columns, and where each value comes from in a record.

A view has the names of the record, with `_` between the parts: `data_split` is `data.split`. Shorter names
are those of `bench report --format csv`: `cell` is `cell.id`, `host` is `host.fingerprint`.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple


class Column(NamedTuple):
    """A column of `cells`: its name, its type in SQL, and the path of its value in a record."""

    name: str
    kind: str
    path: str


def _columns(kind: str, **paths: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind, path) for name, path in paths.items())


PERCENTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99_9": "p99.9"}
"""The percentiles of latency by the names of their columns."""

COLUMNS: tuple[Column, ...] = (
    *_columns("text", run="run", cell="cell.id", cell_group="cell.group", created="created"),
    *_columns("text", status="status", failure_kind="failure.kind", failure_message="failure.message"),
    *_columns("text", profile="profile"),
    *_columns("integer", seed="seed", launches="launches", rounds_planned="rounds_planned"),
    *_columns("text", task="cell.task", variant="cell.variant", device="cell.device"),
    *_columns("text", scenario="cell.scenario", boundary="cell.boundary", slo="cell.slo"),
    *_columns("integer", threads="cell.threads", instances="cell.instances", cores="cell.cores"),
    *_columns("integer", batch="cell.batch", max_length="cell.max_length", twin="cell.twin"),
    *_columns("real", rate="cell.rate"),
    *_columns("text", data_tier="data.tier", data_name="data.name", data_split="data.split"),
    *_columns("text", data_fingerprint="data.fingerprint"),
    *_columns("integer", data_official="data.official", data_examples="data.examples"),
    *_columns("integer", data_sample="data.sample"),
    *_columns("text", model_name="model.name", model_tier="model.tier"),
    *_columns("text", model_fingerprint="model.fingerprint"),
    *_columns("integer", model_trained="model.trained"),
    *_columns("text", artifact_key="artifact.key"),
    *_columns("integer", artifact_size_bytes="artifact.size_bytes"),
    *_columns("text", host="host.fingerprint", host_name_sha256="host.name_sha256"),
    *_columns("text", energy_meter="energy.meter"),
    *_columns("integer", start_load_ns="start.load_ns"),
    *_columns("integer", start_first_request_ns="start.first_request_ns"),
    *(Column(f"latency_{name}_ns", "real", f"latency.{key}.value_ns") for name, key in PERCENTILES.items()),
    *_columns("real", load_rate="load.rate", load_achieved="load.achieved"),
    *_columns("integer", load_overloaded="load.overloaded"),
    *_columns("real", load_highest_rate="load.highest_rate"),
    *_columns("integer", memory_peak_bytes="memory.peak_bytes"),
    *_columns("text", memory_counted_as="memory.counted_as"),
    *_columns("text", quality_primary="quality.primary", quality_unavailable="quality.unavailable"),
    *_columns("integer", quality_timed="quality.timed", quality_untimed="quality.untimed"),
    *_columns("text", revision_commit="revision.commit"),
    *_columns("integer", revision_dirty="revision.dirty"),
    *_columns("text", content_sha256="content_sha256"),
)
"""The columns of `cells` that a record holds as they are; a path may lead through a dict."""

FIGURES: Mapping[str, str] = {
    "throughput": "throughput",
    "time_per_request": "time_per_request_ns",
    "energy_per_request": "energy_per_request_joules",
}
"""Quantities of `figures` that `cells` has as columns, with the intervals; energy has its grade too."""

COMPUTED: tuple[tuple[str, str], ...] = (
    ("rounds", "integer"),
    *((f"quality{end}", "real") for end in ("", "_low", "_high")),
    *((f"{name}{end}", "real") for name in FIGURES.values() for end in ("", "_low", "_high")),
    ("energy_grade", "text"),
)
"""The columns of `cells` that are computed from a record: name and type."""

_CELL_COLUMNS = ",\n    ".join(
    [f"{column.name} {column.kind}" for column in COLUMNS] + [f"{name} {kind}" for name, kind in COMPUTED]
)
_MILLISECONDS = ",\n    ".join(f"latency_{name}_ns / 1e6 as {name}_ms" for name in PERCENTILES)

SCHEMA = f"""
create table run_folders (
    run text primary key,
    modified_ns integer not null,
    unfinished integer not null,
    files text not null
) without rowid;
create table cell_rows (
    id integer primary key,
    {_CELL_COLUMNS},
    cost_basis text not null,
    unique (run, cell)
);
create table texts (id integer primary key, text text not null unique);
create table figure_rows (
    quantity integer not null,
    record integer not null,
    "over" integer not null,
    place integer not null,
    value, low, high, p real,
    unit integer not null, grade integer not null, source integer not null, footnote integer not null,
    primary key (quantity, record, "over")
) without rowid;
create index figure_rows_by_record on figure_rows (record);
create table hosts (host text primary key, host_name_sha256 text, facts text not null) without rowid;
create table software_rows (
    run text not null, distribution text not null, version text not null,
    primary key (run, distribution, version)
) without rowid;
create table unreadable (run text not null, file text not null, reason text not null);

create view cells as select
    {", ".join([column.name for column in COLUMNS] + [name for name, _ in COMPUTED])},
    {_MILLISECONDS}
from cell_rows;
create view runs as select
    run_folders.run as run,
    min(created) as created,
    group_concat(distinct task) as tasks,
    group_concat(distinct host) as hosts,
    group_concat(distinct device) as devices,
    count(cell) as cells,
    coalesce(sum(status = 'complete'), 0) as complete,
    coalesce(sum(status = 'partial'), 0) as partial,
    coalesce(sum(status = 'failed'), 0) as failed,
    unfinished
from run_folders left join cell_rows using (run)
group by run_folders.run
having count(cell) > 0 or unfinished or run_folders.run in (select run from unreadable);
create view figures as select
    cell_rows.run as run, cell_rows.cell as cell, status, task, variant, device, scenario, boundary,
    threads, instances, batch, max_length, profile, host,
    quantity.text as quantity, over_.text as "over", figure_rows.value as value,
    figure_rows.low as low, figure_rows.high as high, unit.text as unit, grade.text as grade,
    source.text as source, footnote.text as footnote
from texts as quantity
    join figure_rows on figure_rows.quantity = quantity.id
    join cell_rows on cell_rows.id = figure_rows.record
    join texts as over_ on over_.id = figure_rows."over"
    join texts as unit on unit.id = figure_rows.unit
    join texts as grade on grade.id = figure_rows.grade
    join texts as source on source.id = figure_rows.source
    join texts as footnote on footnote.id = figure_rows.footnote;
create view software as select run, distribution, version from software_rows;
"""  # noqa: S608 -- the names are this module's
"""What `bench store index` creates."""

VIEWS = ("runs", "cells", "figures", "hosts", "software", "unreadable")
"""What a query reads; the other tables are an implementation that may change."""


def schema_version(program: str) -> int:
    """Return what an index of this schema, with figures by this version of bench, is marked with."""
    return zlib.crc32(f"{program} {SCHEMA}".encode()) & 0x7FFF_FFFF
