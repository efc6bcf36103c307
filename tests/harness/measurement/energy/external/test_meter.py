"""Instruments of the user's own: rows cut out by the wall clock, files that grow, commands that print."""

import json
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measurement.energy.external.meter import CLOCKS, ExternalMeter, open_external, source_of
from harness.measurement.energy.external.rows import (
    COMPLETE,
    DECIMALS,
    ENCODING,
    EPOCH,
    FORM,
    PLAIN,
    RUNNING,
    MalformedRows,
    Rows,
    decoded,
    joined,
    parse,
)
from harness.measurement.energy.external.window import measured
from harness.testing import FakeClock

SECOND = 1_000_000_000
NOON_S = 1_767_268_800


def csv_of(kind: str, *rows: tuple[float, float]) -> str:
    """Write rows of seconds after noon and a value."""
    return f"time,{kind}\n" + "".join(f"{NOON_S + when},{value}\n" for when, value in rows)


def cut(text: str, begin_s: float, end_s: float) -> object:
    """Measure between two times after noon."""
    return measured(parse(text), round((NOON_S + begin_s) * 1e9), round((NOON_S + end_s) * 1e9))


def test_joules_are_cut_by_the_line_between_rows() -> None:
    """Rows every 10 s at 50 W; 5 s to 25 s are 1,000 J. Each edge may be late by a row: 2 x 10 s x 50 W."""
    energy = cut(csv_of("joules", (0, 0), (10, 500), (20, 1000), (30, 1500)), 5, 25)
    assert (energy.microjoules, energy.resolution_uj, energy.samples) == (1_000_000_000, 1_000_000_000, 4)


def test_watts_are_integrated_by_trapezoids() -> None:
    """A ramp from 0 to 100 W in 10 s, cut from 2 s (20 W) to 8 s (80 W): 50 W x 6 s = 300 J."""
    energy = cut(csv_of("watts", (0, 0), (5, 50), (10, 100)), 2, 8)
    assert energy.microjoules == 300_000_000


def test_two_rows_at_the_edges_are_as_exact_as_they_are_near() -> None:
    """Rows 10 ms before and 10 ms after a window of 10 s: 2 x 10 ms at the mean power of 50 W are 1 J."""
    energy = cut(csv_of("joules", (0, 0), (10.02, 501)), 0.01, 10.01)
    assert energy.microjoules == 500_000_000
    assert energy.resolution_uj == pytest.approx(1_000_000, rel=1e-3)


@pytest.mark.parametrize(
    ("begin", "end", "reason"),
    [
        (-1, 5, "there is no row before the window"),
        (5, 31, "there is no row after the window"),
        (5, 5, "the window is empty"),
    ],
)
def test_a_window_without_rows_on_both_sides_is_refused(begin: float, end: float, reason: str) -> None:
    """Nothing is extrapolated."""
    assert cut(csv_of("watts", (0, 50), (30, 50)), begin, end) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (csv_of("joules", (0, 500), (10, 400), (20, 900)), "the joules decreased"),
        (csv_of("joules", (0, 500), (10, 500), (20, 500)), "the rows show no energy within the window"),
        (csv_of("watts", (0, 0), (10, 0), (20, 0)), "the rows show no energy within the window"),
    ],
)
def test_an_instrument_that_restarted_or_is_dead_is_refused(text: str, reason: str) -> None:
    """Neither negative energy nor zero."""
    assert cut(text, 1, 19) == reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no complete line"),
        ("time,watts\n", "it has a heading, but no row"),
        ("when,watts\n1,2\n", "line 2: it needs `time`, and either `joules` or `watts`"),
        ("time,watts,joules\n1,2,3\n", "line 2: it needs `time`, and either `joules` or `watts`"),
        ("time,watts\n1,x\n", "line 2: watts must be a number"),
        ("time,watts\n1,-3\n", "line 2: watts must be a finite number of 0 or more, got -3.0"),
        ("time,watts\n1,nan\n", "line 2: watts must be a finite number of 0 or more, got nan"),
        ("time,watts\n5,1\n5,2\n", "line 3: its time is not after that of the previous row"),
        ('{"time": 1, "watts": 2}\n[3]\n', "line 2: not a JSON object"),
        ('{"time": 1, "watts": 2}\n{"time"\n', "line 2: not a JSON object"),
    ],
)
def test_rows_of_another_form_are_refused_by_line(text: str, message: str) -> None:
    """The message has the number of the line."""
    with pytest.raises(MalformedRows) as error:
        parse(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "reason", "remedy"),
    [
        ("time,joules\n1,100\n2,830,5\n", "line 3: it has 3 fields, and the heading has 2", DECIMALS),
        ("time,watts\n1,5,41,5\n", "line 2: it has 4 fields, and the heading has 2", DECIMALS),
        ("time,watts,note\n1,5\n", "line 2: it has 2 fields, and the heading has 3", COMPLETE),
        ('time,watts\n1,"41,5"\n', "line 2: watts must be a number", DECIMALS),
        ("time;watts\n1;41,5\n", "line 2: watts must be a number", DECIMALS),
        ("time,watts\n1,41.5 W\n", "line 2: watts must be a number", PLAIN),
        ("time,watts\n1,1_000\n", "line 2: watts must be a number", PLAIN),
        ('{"time": 1, "watts": true}\n', "line 1: watts must be a number", PLAIN),
        ("time,watts\n2026-01-01T12:00:00,5\n", "line 2: time must be a number", EPOCH),
        ("time,watts,watts\n1,2,3\n", "line 1: it names watts twice", "Name each column once."),
        (
            "time,watts\n1767268800000,5\n",
            "line 2: time must be in seconds since the epoch, got 1.76727e+12",
            "Divide milliseconds by 1,000, or nanoseconds by 1,000,000,000.",
        ),
    ],
)
def test_a_row_that_would_be_read_as_another_number_is_refused(text: str, reason: str, remedy: str) -> None:
    """A decimal comma splits 830.5 J into 830 and 5: each cause has its line and its remedy."""
    with pytest.raises(MalformedRows) as error:
        parse(text)
    assert (str(error.value), error.value.remedy) == (reason, remedy)


@pytest.mark.parametrize(
    ("heading", "remedy"),
    [
        ("time,kwh", "Write the column kwh as joules: multiply by 3,600,000."),
        ("time,energy (kWh)", "Write the column energy (kwh) as joules: multiply by 3,600,000."),
        ("time,power_mw", "Write the column power_mw as watts: divide milliwatts by 1,000."),
        ("time,power", "Write the column power as watts."),
        ("timestamp,watts", f"Write the column timestamp as time. {EPOCH}"),
        ("time,watts,joules", "Leave out one of the two: `joules` if the instrument counts them."),
        ("a,b", FORM),
    ],
)
def test_a_column_in_another_unit_has_a_remedy_of_its_own(heading: str, remedy: str) -> None:
    """1 kWh is 3,600,000 J."""
    with pytest.raises(MalformedRows) as error:
        parse(f"{heading}\n{','.join('1' * len(heading.split(',')))}\n")
    assert error.value.remedy == remedy


def test_semicolons_and_tabs_separate_as_well() -> None:
    """As in lands where the comma is the decimal sign; the numbers still have points."""
    assert parse("time;watts\n1;41.5\n").points == parse("time\twatts\r\n1\t41.5\r\n").points


def test_a_byte_order_mark_is_no_part_of_the_heading() -> None:
    """Spreadsheets write one before UTF-8; UTF-16 is refused, with the command that avoids it."""
    text = "time,watts\n1,41.5\n"
    assert parse(decoded(text.encode("utf-8-sig"))) == parse(text)
    for encoding in ("utf-16", "utf-16-le"):
        with pytest.raises(MalformedRows) as error:
            decoded(text.encode(encoding))
        assert (str(error.value), error.value.remedy) == ("it is written in UTF-16", ENCODING)
    with pytest.raises(MalformedRows, match="line 2: it is not UTF-8 text"):
        decoded("time,watts\n1,2,\xe4\n".encode("latin-1"))


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_are_refused(data: bytes) -> None:
    """Whatever a logger left behind."""
    try:
        assert parse(decoded(data)).points
    except MalformedRows as error:
        assert error.remedy  # noqa: PT017 -- either is right


def test_json_lines_further_columns_and_a_line_that_is_being_written_are_read() -> None:
    """The last line has no end yet: it is left for the next time."""
    rows = parse('{"time": 1.5, "joules": 2, "phase": "L1"}\n{"time": 2.5, "joules": 3}\n{"time": 3.5, "jou')
    assert rows == Rows("joules", ((1_500_000_000, 2e6), (2_500_000_000, 3e6)))
    assert parse("Time, Watts, note\n1,2,ok\n").points == ((SECOND, 2e6),)


@given(st.text(max_size=200))
def test_any_text_is_rows_or_is_refused(text: str) -> None:
    """A file that is something else altogether breaks nothing."""
    try:
        assert parse(text).points
    except MalformedRows as error:
        assert str(error)  # noqa: PT017 -- either is right


class Instrument:
    """A file that grows by one row per second at a steady power, on fake clocks.

    Its own clock is `ahead_s` seconds ahead of the machine's.
    """

    def __init__(self, file: Path, watts: float = 50.0, ahead_s: float = 0.0) -> None:
        self.file, self.watts, self.ahead_ns = file, watts, round(ahead_s * 1e9)
        self.monotonic, self.wall = FakeClock(), FakeClock(NOON_S * SECOND)
        self.rows = 0
        file.write_text("time,watts\n")
        self.write()

    def write(self) -> None:
        """Write the rows that are due."""
        with self.file.open("a") as handle:
            while self.rows * SECOND <= self.wall.now_ns + self.ahead_ns - NOON_S * SECOND:
                handle.write(f"{NOON_S + self.rows},{self.watts}\n")
                self.rows += 1

    def pass_time(self, seconds: float, *, writing: bool = True) -> None:
        """Let time pass on both clocks."""
        self.monotonic.advance(round(seconds * 1e9))
        self.wall.advance(round(seconds * 1e9))
        if writing:
            self.write()

    def meter(self, argument: str | None = None) -> ExternalMeter:
        """Return a meter on these clocks, which sleeps on them too."""
        return ExternalMeter(
            argument or str(self.file), self.monotonic, wall=self.wall, sleep=self.pass_time, patience_s=5
        )


def test_a_file_that_grows_is_waited_for(tmp_path: Path) -> None:
    """50 W for 10.5 s are 525 J; the row after the window comes half a second later."""
    tool = Instrument(tmp_path / "readings.csv")
    meter = tool.meter(f"wall-socket={tool.file}")
    tool.pass_time(0.25)
    mark = meter.start()
    tool.pass_time(10.5)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.span_ns) == (525_000_000, 10_500_000_000)
    assert (reading.grade, reading.scope, reading.source) == ("measured", "system", "external: wall-socket")
    assert reading.zone == "wall-socket"


def test_a_logger_that_died_within_the_window_is_unavailable(tmp_path: Path) -> None:
    """After its time limit the meter reports that there is no row; it does not extrapolate."""
    tool = Instrument(tmp_path / "readings.csv")
    meter = ExternalMeter(str(tool.file), tool.monotonic, wall=tool.wall, sleep=lambda _: None, patience_s=5)
    mark = meter.start()
    tool.pass_time(10, writing=False)
    assert meter.read(mark)[0].reason == "there is no row after the window"


def test_a_wall_clock_that_was_set_within_the_window_is_unavailable(tmp_path: Path) -> None:
    """Rows and window are matched by that clock alone."""
    tool = Instrument(tmp_path / "readings.csv")
    meter = tool.meter()
    mark = meter.start()
    tool.pass_time(10)
    tool.wall.advance(3 * SECOND)
    assert meter.read(mark)[0].reason == "the wall clock was set within the window"


def test_a_file_that_nobody_writes_any_more_is_an_obstacle(tmp_path: Path) -> None:
    """Its last row is two minutes old."""
    tool = Instrument(tmp_path / "readings.csv")
    tool.pass_time(120, writing=False)
    assert tool.meter().obstacle() == ("readings.csv: its last row is 120 s old", RUNNING)
    tool.write()
    assert tool.meter().obstacle() is None


def test_a_clock_that_runs_ahead_is_an_obstacle_and_makes_no_reading(tmp_path: Path) -> None:
    """Rows that are 30 s later than now cannot exist; by less than a row's interval they are uncertain."""
    tool = Instrument(tmp_path / "readings.csv", ahead_s=30)
    reason = "its last row is 30 s later than now: its clock runs ahead"
    assert tool.meter().obstacle() == (f"readings.csv: {reason}", CLOCKS)
    mark = tool.meter().start()
    tool.pass_time(10)
    assert tool.meter().read(mark)[0].reason == reason
    assert Instrument(tmp_path / "near.csv", ahead_s=0.5).meter().obstacle() is None


def test_rows_that_come_late_are_less_certain(tmp_path: Path) -> None:
    """A clock that is 3 s slow, or a logger that writes 3 s late: the last row was 3.5 s old at the end.

    2 x 3.5 s at 50 W are 350 J, in place of 2 x 1 s.
    """
    tool = Instrument(tmp_path / "readings.csv", ahead_s=-3)
    meter = tool.meter()
    tool.pass_time(20)
    mark = meter.start()
    tool.pass_time(10.5)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.resolution_uj) == (525_000_000, 350_000_000)


def test_a_folder_or_a_file_that_may_not_be_read_is_an_obstacle_of_its_own(tmp_path: Path) -> None:
    """Neither is a matter of the rows' form."""
    assert ExternalMeter(str(tmp_path)).obstacle() == (
        f"{tmp_path} is a folder",
        "Name a file or a program in it.",
    )
    empty = tmp_path / "empty.csv"
    empty.write_text("time,watts\n")
    assert ExternalMeter(str(empty)).obstacle() == ("empty.csv: it has a heading, but no row", RUNNING)


def test_a_file_of_another_form_is_an_obstacle_with_its_line(tmp_path: Path) -> None:
    """And the remedy names the form."""
    file = tmp_path / "readings.csv"
    file.write_text("a,b\n1,2\n")
    assert ExternalMeter(str(file)).obstacle() == (
        "readings.csv: line 2: it needs `time`, and either `joules` or `watts`",
        FORM,
    )


def test_a_missing_file_or_program_is_an_obstacle() -> None:
    """The argument is neither, or has a quote that is never closed."""
    assert ExternalMeter("nothing.csv").obstacle() == (
        "nothing.csv is neither a file nor a program",
        "Check its path.",
    )
    assert ExternalMeter("'open").obstacle() == (
        '"\'open" is not a command line that a shell could split',
        "Check its quotes.",
    )


def command(tmp_path: Path, body: str) -> str:
    """Return a command line that runs a small program."""
    file = tmp_path / "tool.py"
    file.write_text(f"import time\n{body}\n")
    return f"{sys.executable} {file}"


def test_a_command_runs_at_both_edges(tmp_path: Path) -> None:
    """The command prints the joules of a steady 40 W, and the meter reads them."""
    body = "now = time.time(); print('time,joules'); print(f'{now!r},{40 * (now - 1.7e9)!r}')"
    meter = ExternalMeter(f"bmc={command(tmp_path, body)}")
    assert meter.obstacle() is None
    mark = meter.start()
    time.sleep(0.05)
    (reading,) = meter.read(mark)
    assert reading.microjoules == pytest.approx(40 * reading.span_ns / 1000, rel=0.01)
    assert (reading.samples, reading.source) == (2, "external: bmc")


@pytest.mark.parametrize(
    ("body", "reason", "patience_s"),
    [
        ("raise SystemExit(3)", "ended with exit code 3", 60),
        ("print('nothing')", "it has a heading, but no row", 60),
        ("time.sleep(60)", "did not end within 0.3 s", 0.3),
    ],
)
def test_a_command_that_fails_or_hangs_is_unavailable(
    tmp_path: Path, body: str, reason: str, patience_s: float
) -> None:
    """It is ended with all that it started, and its failure is a reason."""
    meter = ExternalMeter(command(tmp_path, body), patience_s=patience_s)
    assert reason in str(meter.obstacle())
    assert reason in str(meter.read(meter.start())[0].reason)


def test_runs_that_failed_in_between_are_left_out_and_edges_are_not() -> None:
    """A command that was run three times, and failed the second time."""
    first, last = Rows("watts", ((0, 1.0),)), Rows("watts", ((9, 2.0),))
    assert joined([first, "it hung", last]) == Rows("watts", ((0, 1.0), (9, 2.0)))
    assert joined([first, "it hung"]) == "it hung"
    assert joined([first, Rows("joules", ((9, 2.0),))]) == "it printed joules in one run and watts in another"


def test_sources_are_named_by_the_user_or_by_their_base_name(tmp_path: Path) -> None:
    """A file, a command, and either with a name; the record keeps no folder and no argument of a command."""
    file = tmp_path / "a=b.csv"
    file.write_text("")
    assert source_of(str(file)).name == "a=b.csv"
    assert source_of(f"wall={file}").file == file
    assert source_of("bmc=/usr/bin/ipmitool -P secret").command == ("/usr/bin/ipmitool", "-P", "secret")
    assert source_of("/usr/bin/ipmitool dcmi").name == "ipmitool"


def test_facts_and_spec_are_json_and_open_the_same_source(tmp_path: Path) -> None:
    """A worker reads the same file, and the record's facts hold no path."""
    tool = Instrument(tmp_path / "readings.csv")
    meter = tool.meter()
    tool.pass_time(3)
    assert open_external(json.loads(json.dumps(meter.spec()))).zones() == meter.zones()
    facts = meter.describe()
    assert (facts["shows"], facts["update_period_ns"]) == ("watts", SECOND)
    assert str(tmp_path) not in json.dumps(facts)
