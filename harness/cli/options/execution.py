"""The options under `How`: threads, sequence length, seed, meter, null test."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import how_option
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.runs.planning.options import RunOptions

Seed = Annotated[int, how_option("--seed N", "Seed of every random draw.")]
MaxLength = Annotated[
    int, how_option("--max-length N", "Longest sequence in tokens; pytorch-fixed pads to it.")
]
MeterName = Annotated[
    str,
    how_option(
        "--meter NAME[:ARGUMENT]",
        "Energy meter of `bench list`, or none (default: the first that works here).",
        envvar="BENCH_METER",
    ),
]

Resume = Annotated[
    str | None, how_option("--resume RUN", "Finish an unfinished run: its id, `latest` or `all`.")
]

ResumeSearch = Annotated[
    str | None,
    how_option("--resume RUN", "Go on with a search that had the same options: a run of it, or `latest`."),
]

Busy = Annotated[
    Literal["wait", "refuse", "share"],
    how_option(
        "--busy wait|refuse|share",
        "What to do while another bench measures on these CPUs (default: wait).",
        envvar="BENCH_BUSY",
    ),
]


class EncodingOptions(OptionGroup):
    """Threads and sequence length."""

    threads: Annotated[
        int | None, how_option("--threads N", "Threads of each system (default: the physical cores).")
    ] = None
    max_length: MaxLength = 256


class ExecutionOptions(EncodingOptions):
    """Threads, sequence length, seed and meter, and whether to wait for the CPUs."""

    seed: Seed = 0
    meter: MeterName = ""
    busy: Busy = "wait"


class RooflineExecution(ExecutionOptions):
    """How systems are measured, and whether the peaks of the cores are."""

    roofline: Annotated[
        bool, how_option("--roofline", "Measure the cores' peaks and each system's share of them.")
    ] = False


class ServerOptions(RooflineExecution):
    """Model servers that are measured beside the variants (docs/howto/servers.md).

    A value that begins with `NAME:` belongs to the server of that name alone.
    """

    system_url: Annotated[
        list[str] | None,
        how_option("--system-url [NAME=]URL", "Measure a model server (docs/howto/servers.md); repeatable."),
    ] = None
    system_server: Annotated[
        list[str] | None,
        how_option("--system-server 'COMMAND {port}'", "Start this server for it, and end it."),
    ] = None
    system_protocol: Annotated[
        list[str] | None,
        how_option(
            "--system-protocol NAME",
            "oip, oip-grpc, tei, infinity, openai or json (default: what its metadata show).",
        ),
    ] = None
    system_template: Annotated[
        list[str] | None, how_option("--system-template FILE", "Request and answer of any other JSON API.")
    ] = None
    system_labels: Annotated[
        list[str] | None,
        how_option("--system-labels A=b,C=d", "The server's names of labels, and the task's."),
    ] = None
    system_separator: Annotated[
        list[str] | None,
        how_option("--system-separator TEXT", "Joins a pair of texts for a server that takes one."),
    ] = None
    system_pid: Annotated[
        list[str] | None, how_option("--system-pid PID", "The server's process here: its CPU time counts.")
    ] = None
    system_cgroup: Annotated[
        list[str] | None, how_option("--system-cgroup PATH", "The same by its cgroup, below /sys/fs/cgroup.")
    ] = None
    system_meter: Annotated[
        list[str] | None,
        how_option(
            "--system-meter URL", "Reads the energy of its machine: `bench meter serve`, or an exporter."
        ),
    ] = None
    connections: Annotated[
        int | None, how_option("--connections N", "Requests to a server in flight at once (default: 8).")
    ] = None

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Set the servers; UsageError for one that cannot be measured as named."""
        from harness.runs.planning.servers import ServerArguments, parse_servers

        arguments = ServerArguments(
            urls=self.system_url or (),
            commands=self.system_server or (),
            protocols=self.system_protocol or (),
            templates=self.system_template or (),
            labels=self.system_labels or (),
            separators=self.system_separator or (),
            pids=self.system_pid or (),
            cgroups=self.system_cgroup or (),
            meters=self.system_meter or (),
            connections=self.connections,
        )
        return replace(super().apply(options), servers=parse_servers(arguments))


class RunExecution(ServerOptions):
    """How variants are measured: instances, programs and servers from outside, null tests."""

    instances: Annotated[
        int, how_option("--instances N", "Processes of each variant that share the threads.")
    ] = 1
    system_command: Annotated[
        str,
        how_option(
            "--system-command 'PROGRAM ...'", "Measure your own program too (docs/howto/programs.md)."
        ),
    ] = ""
    null_test: Annotated[
        str,
        how_option(
            "--null-test VARIANT",
            "Measure this variant against itself; keep the trace (docs/explanation/method.md).",
        ),
    ] = ""
    null_copies: Annotated[
        int | None, how_option("--null-copies N", "Null test: workers of the variant (default: 2).")
    ] = None
    condition: Annotated[str, how_option("--condition TEXT", "Null test: what else runs on the machine.")] = (
        ""
    )

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Set the options of the same name, and the program."""
        return replace(super().apply(options), command=self.system_command)


ClusterAddress = Annotated[
    str,
    how_option(
        "--cluster ADDRESS",
        "Work on hosts of a Ray cluster: ray:local or ray://HOST:10001 (docs/howto/cluster.md).",
    ),
]


class HostsOptions(OptionGroup):
    """The hosts of a cluster that a command measures on."""

    cluster: ClusterAddress = ""
    hosts: Annotated[str, how_option("--hosts all|N|NAME,...", "Hosts of the cluster to measure on.")] = "all"

    def check(self) -> None:
        """Raise UsageError for an option of a cluster without one."""
        self._check_absent({"--hosts": self.hosts != "all"})

    def _check_absent(self, given: "dict[str, bool]") -> None:
        if not self.cluster and any(given.values()):
            raise UsageError(
                f"{' and '.join(given)} {'are' if len(given) > 1 else 'is'} about a cluster.",
                remedy="Name one with --cluster, or leave them out.",
            )


class ClusterOptions(HostsOptions):
    """The hosts of a cluster, and what each of them measures."""

    per_host: Annotated[
        Literal["same", "split"],
        how_option(
            "--per-host same|split", "Measure the whole sweep on each host, or each run on one of them."
        ),
    ] = "same"

    def check(self) -> None:
        """Raise UsageError for an option of a cluster without one."""
        self._check_absent({"--hosts": self.hosts != "all", "--per-host": self.per_host != "same"})


class TrainingCluster(OptionGroup):
    """The cluster whose free hosts train."""

    cluster: ClusterAddress = ""
    seeds: Annotated[
        str,
        how_option(
            "--seeds N,...", "With --cluster: a training with each of these seeds, in place of --seed."
        ),
    ] = ""

    def check(self, task: str) -> None:
        """Raise UsageError for several trainings without a cluster."""
        if not self.cluster and (self.seeds or "," in task):
            raise UsageError(
                "several trainings need a cluster.",
                where="--seeds" if self.seeds else "--task",
                remedy="Name one with --cluster; `ray:local` is this machine alone.",
            )
