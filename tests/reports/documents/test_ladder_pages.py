from pathlib import Path

import yaml
from records import a_quality, a_rung, ladder_words

import reports
from harness.records.ladder import parse_ladder
from harness.records.record import Record

RUNGS = (
    {
        "name": "fixed",
        "about": "PyTorch fp32, padded to the maximum length",
        "reference": {"time_s": 734.35, "cumulative": 1.0, "quality": 74.01},
    },
    {
        "name": "distilled",
        "over": "fixed",
        "about": "the student, taught by the model",
        "reference": {"time_s": 22.5, "cumulative": 32.64, "quality": 74.04},
    },
    {"name": "int8", "over": "distilled", "about": "ONNX Runtime dynamic int8"},
)


def records() -> list[Record]:
    """Return three rungs with modelled joules of an untrained model, the last without single-stream."""
    shared = {
        "configuration": ladder_words(RUNGS),
        "reading": {"grade": "modelled"},
        "quality": a_quality(metrics={}, unavailable="the model is untrained"),
    }
    offline = (("fixed", "offline"), ("distilled", "offline"), ("int8", "offline"))
    single_stream = (("fixed", "single-stream"), ("distilled", "single-stream"))
    return [a_rung(name, scenario, **shared) for name, scenario in (*offline, *single_stream)]


TEXT = """\
Ladder fastformers: boolq on cpu, encoded, at most 256 tokens

                                                                  instances
rung       what it is                                  over       x threads  batch
──────────────────────────────────────────────────────────────────────────────────
fixed      PyTorch fp32, padded to the maximum length             1 x 2      1
distilled  the student, taught by the model            fixed      1 x 2      16
int8       ONNX Runtime dynamic int8                   distilled  1 x 2      16

batch: how many requests the system processes at a time when all are available, by its own report.

Speed, offline

                                                           speed-up,      paper,      paper,
rung              ms/request      speed-up, step          cumulative  ms/request  cumulative
────────────────────────────────────────────────────────────────────────────────────────────
fixed      20.0 [20.0, 20.0]        1 (baseline)        1 (baseline)         225       1.00x
distilled  2.00 [2.00, 2.00]  10.0x [10.0, 10.0]  10.0x [10.0, 10.0]        6.88      32.64x
int8       1.00 [1.00, 1.00]  2.00x [2.00, 2.00]  20.0x [20.0, 20.0]     n/a (1)     n/a (1)

(1)  because the paper has no such rung.
[low, high] is the 95 % interval; the note of an n/a gives the reason. step: over the rung named in `over`;
cumulative: over the first.
Ratios are trimmed means of paired rounds, t interval over rounds, within one process; differences within 2 %
count as no change.
The 6 comparisons form one family, judged at 1 % together (Holm; docs/explanation/method.md).
paper: Table 3 of the FastFormers paper as printed (BoolQ validation one by one, Azure F16s_v2); not measured
here.

Energy, offline, modelled

                                                     modelled energy
                 mJ/request,     modelled energy          reduction,
rung                modelled     reduction, step          cumulative
────────────────────────────────────────────────────────────────────
fixed         400 [400, 400]        1 (baseline)        1 (baseline)
distilled  40.0 [40.0, 40.0]  10.0x [10.0, 10.0]  10.0x [10.0, 10.0]
int8       20.0 [20.0, 20.0]  2.00x [2.00, 2.00]  20.0x [20.0, 20.0]

Joules are modelled: CPU time in other units.

Quality

                              kept of
                     change,      the    paper,
rung       accuracy   points     gain  accuracy
───────────────────────────────────────────────
fixed       n/a (1)  n/a (1)  n/a (1)   74.01 %
distilled   n/a (1)  n/a (1)  n/a (1)   74.04 %
int8        n/a (1)  n/a (1)  n/a (1)   n/a (2)

(1)  because the model is untrained.
(2)  because the paper has no such rung.
change: points of accuracy above or below the first rung.
kept of the gain: the part kept of the first rung's gain in accuracy over a constant answer.

Memory and size

           peak  disk
rung        MiB   MiB
─────────────────────
fixed       600   400
distilled   600   400
int8        600  4.00

peak: all processes of the rung together; disk: the files that the rung loads.

Latency of single requests; USD per 100 million requests at 0.677 USD an hour (Azure F16s_v2, 16 vCPU, 32 GB;
as in the FastFormers paper's cost column, 2020)

                                                                      paper,
rung                  p50 ms             p90 ms           USD/100M  USD/100M
────────────────────────────────────────────────────────────────────────────
fixed      20.0 [19.6, 20.4]  30.0 [29.4, 30.6]     376 [376, 376]     4,223
distilled  2.00 [1.96, 2.04]  3.00 [2.94, 3.06]  37.6 [37.6, 37.6]       129
int8                 n/a (1)            n/a (1)  18.8 [18.8, 18.8]   n/a (2)

(1)  because int8 was not measured in single-stream in this run.
(2)  because the paper has no such rung.
USD = seconds per request offline x 100 million / 3,600 x 0.677, for requests one after another on the whole
machine; use the price of a machine like the one measured (--price-per-hour).
paper: its own times at 0.677 USD an hour.

Preparation, and the requests after which it has paid for itself

           preparation,  preparation,  break-even,  break-even,
rung                  s   J, measured       energy        money
───────────────────────────────────────────────────────────────
fixed                 0             0   (baseline)   (baseline)
distilled         3,600        72,000      n/a (1)      200,000
int8              3,610        72,200      n/a (1)      190,000

(1)  because the grade of the energy differs: measured in preparation and modelled per request.
break-even: requests = cost of preparation / saving per request over the first rung, offline; in joules, and
in machine time at one price. A single preparation has no interval. never: nothing is saved.

Warnings
energy-modelled  Run r1: joules are modelled, not measured: CPU time in other units.
                 -> `bench doctor` lists the meters and what each would need.

What was measured
run      r1, default profile, seed 0
data     BoolQ/val, local, 1,000 examples, the official file, best constant answer 62.0 %, sha256 aaaaaaaaaaaa
model    bert-base-boolq, local, sha256 bbbbbbbbbbbb
rounds   7 of 7 in 1 launch; 700 requests per variant over 700 distinct examples; 14.0 s for fixed
quality  unavailable, because the model is untrained
harness  the loop costs 200 ns per request, 0.02 % of the fastest variant's time (int8)
meter    rapl: modelled, scope package, source powercap
host     Example CPU @ 3.0 GHz, 2 usable of 4 logical CPUs, 16.0 GiB, kernel 6.1.0, fingerprint cccccccccccc
"""

PAGE = r"""### Ladder fastformers: boolq on cpu, encoded, at most 256 tokens

| rung | what it is | over | instances x threads | batch |
| :--- | :--- | :--- | :--- | :--- |
| fixed | PyTorch fp32, padded to the maximum length |  | 1 x 2 | 1 |
| distilled | the student, taught by the model | fixed | 1 x 2 | 16 |
| int8 | ONNX Runtime dynamic int8 | distilled | 1 x 2 | 16 |

batch: how many requests the system processes at a time when all are available, by its own report.

### Speed, offline

| rung | ms/request | speed-up, step | speed-up, cumulative | paper, ms/request | paper, cumulative |
| :--- | ---: | ---: | ---: | ---: | ---: |
| fixed | 20.0 [20.0, 20.0] | 1 (baseline) | 1 (baseline) | 225 | 1.00x |
| distilled | 2.00 [2.00, 2.00] | 10.0x [10.0, 10.0] | 10.0x [10.0, 10.0] | 6.88 | 32.64x |
| int8 | 1.00 [1.00, 1.00] | 2.00x [2.00, 2.00] | 20.0x [20.0, 20.0] | n/a (1) | n/a (1) |

1. because the paper has no such rung.

\[low, high\] is the 95 % interval; the note of an n/a gives the reason. step: over the rung named in \`over\`; cumulative: over the first.
Ratios are trimmed means of paired rounds, t interval over rounds, within one process; differences within 2 % count as no change.
The 6 comparisons form one family, judged at 1 % together (Holm; docs/explanation/method.md).
paper: Table 3 of the FastFormers paper as printed (BoolQ validation one by one, Azure F16s\_v2); not measured here.

### Energy, offline, modelled

| rung | mJ/request, modelled | modelled energy reduction, step | modelled energy reduction, cumulative |
| :--- | ---: | ---: | ---: |
| fixed | 400 [400, 400] | 1 (baseline) | 1 (baseline) |
| distilled | 40.0 [40.0, 40.0] | 10.0x [10.0, 10.0] | 10.0x [10.0, 10.0] |
| int8 | 20.0 [20.0, 20.0] | 2.00x [2.00, 2.00] | 20.0x [20.0, 20.0] |

Joules are modelled: CPU time in other units.

### Quality

| rung | accuracy | change, points | kept of the gain | paper, accuracy |
| :--- | ---: | ---: | ---: | ---: |
| fixed | n/a (1) | n/a (1) | n/a (1) | 74.01 % |
| distilled | n/a (1) | n/a (1) | n/a (1) | 74.04 % |
| int8 | n/a (1) | n/a (1) | n/a (1) | n/a (2) |

1. because the model is untrained.
2. because the paper has no such rung.

change: points of accuracy above or below the first rung.
kept of the gain: the part kept of the first rung's gain in accuracy over a constant answer.

### Memory and size

| rung | peak MiB | disk MiB |
| :--- | ---: | ---: |
| fixed | 600 | 400 |
| distilled | 600 | 400 |
| int8 | 600 | 4.00 |

peak: all processes of the rung together; disk: the files that the rung loads.

### Latency of single requests; USD per 100 million requests at 0.677 USD an hour (Azure F16s\_v2, 16 vCPU, 32 GB; as in the FastFormers paper's cost column, 2020)

| rung | p50 ms | p90 ms | USD/100M | paper, USD/100M |
| :--- | ---: | ---: | ---: | ---: |
| fixed | 20.0 [19.6, 20.4] | 30.0 [29.4, 30.6] | 376 [376, 376] | 4,223 |
| distilled | 2.00 [1.96, 2.04] | 3.00 [2.94, 3.06] | 37.6 [37.6, 37.6] | 129 |
| int8 | n/a (1) | n/a (1) | 18.8 [18.8, 18.8] | n/a (2) |

1. because int8 was not measured in single-stream in this run.
2. because the paper has no such rung.

USD = seconds per request offline x 100 million / 3,600 x 0.677, for requests one after another on the whole machine; use the price of a machine like the one measured (--price-per-hour).
paper: its own times at 0.677 USD an hour.

### Preparation, and the requests after which it has paid for itself

| rung | preparation, s | preparation, J, measured | break-even, energy | break-even, money |
| :--- | ---: | ---: | ---: | ---: |
| fixed | 0 | 0 | (baseline) | (baseline) |
| distilled | 3,600 | 72,000 | n/a (1) | 200,000 |
| int8 | 3,610 | 72,200 | n/a (1) | 190,000 |

1. because the grade of the energy differs: measured in preparation and modelled per request.

break-even: requests = cost of preparation / saving per request over the first rung, offline; in joules, and in machine time at one price. A single preparation has no interval. never: nothing is saved.

**Warnings**

- **energy-modelled**: Run r1: joules are modelled, not measured: CPU time in other units.
  - \`bench doctor\` lists the meters and what each would need.

**What was measured**

- run: r1, default profile, seed 0
- data: BoolQ/val, local, 1,000 examples, the official file, best constant answer 62.0 %, sha256 aaaaaaaaaaaa
- model: bert-base-boolq, local, sha256 bbbbbbbbbbbb
- rounds: 7 of 7 in 1 launch; 700 requests per variant over 700 distinct examples; 14.0 s for fixed
- quality: unavailable, because the model is untrained
- harness: the loop costs 200 ns per request, 0.02 % of the fastest variant's time (int8)
- meter: rapl: modelled, scope package, source powercap
- host: Example CPU @ 3.0 GHz, 2 usable of 4 logical CPUs, 16.0 GiB, kernel 6.1.0, fingerprint cccccccccccc
"""  # noqa: E501 -- a row of a Markdown table is one line


def test_at_110_columns_a_ladder_is_seven_narrow_tables() -> None:
    """Definitions, speed, energy, quality, memory, cost and preparation; then warnings and facts."""
    assert reports.render_records(records(), "text", width=110) == TEXT


def test_the_markdown_page_has_the_same_tables() -> None:
    """Remarks end with two blanks, which make a line break."""
    shown = reports.render_records(records(), "markdown")
    assert "\n".join(line.rstrip() for line in shown.splitlines()) + "\n" == PAGE
    assert "over the first.  \n" in shown


def test_the_ladder_in_the_documentation_is_valid() -> None:
    """It can be parsed, and its rungs build on one another as the page describes."""
    page = (Path(__file__).parents[3] / "docs" / "howto" / "ladder.md").read_text(encoding="utf-8")
    document = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    ladder = parse_ladder(document, "docs/howto/ladder.md", {"student": "minilm"})
    assert [rung.over for rung in ladder.rungs] == ["", "fixed", "fp32", "int8", "student"]
    assert ladder.rung("all cores").recipes == ({"distil": {"student": "minilm"}},)
    assert ladder.rung("all cores").count(4) == 4
