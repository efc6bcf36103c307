import json
import re
import shlex
from typing import Any

import pytest
from records import (
    ROUNDS_MS,
    a_failure,
    a_ladder,
    a_percentile,
    a_quality,
    a_record,
    an_accuracy,
    three_variants,
)

from harness.records.facts import RateTrial
from harness.records.record import OfferedLoad, PlacementFacts, Record
from reports import CostFactors, Style, VerdictOptions, build_report, write_report
from reports.layout.verdict_sentences import LIMIT, verdict_texts

SAME = a_quality(answers_sha256="9" * 64)
ONNX = PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"threads": 2, "engine": "onnxruntime"})


def sentences(records: list[Record], permitted: float | None = None) -> list[str]:
    report = build_report(records, CostFactors(), options=VerdictOptions(permitted))
    return [f"{text.about}|{text.sentence}|{text.command}" for text in verdict_texts(report.verdicts())]


def moved(record: Record, **cell: Any) -> Record:
    return record.model_copy(update={"cell": record.cell.model_copy(update=cell)})


def rendered(records: list[Record], form: str) -> str:
    return write_report(build_report(records, CostFactors()), form, Style())


def test_the_sentence_names_variant_factors_quality_energy_and_the_command() -> None:
    """2.5 and 5 times as fast by construction, with a fifth of the joules of the baseline, measured."""
    (text,) = sentences(three_variants(quality=SAME, placement=ONNX))
    assert text == (
        "|onnx-int8 is the fastest variant within 1 point of accuracy: 2.50x [2.50, 2.50] as fast as PyTorch "
        "without padding (pytorch-dynamic) and 5.00x [5.00, 5.00] as fast as the padded baseline "
        "(pytorch-fixed), with the same answers to all 1,000 examples; measured energy reduction 2.50x "
        "[2.50, 2.50] (package). Compiled PyTorch (pytorch-compiled) was not measured.|bench export "
        "onnx-int8 --task boolq --data PATH/TO/BoolQ --split val "
        "--model PATH/TO/bert-base-boolq --output served/boolq-onnx-int8"
    )


def test_compiled_pytorch_is_a_reference_and_a_candidate() -> None:
    """8 ms a request against 4 and 2: int8 is twice as fast; where it is the fastest itself, it is chosen."""
    compiled = a_record("pytorch-compiled", (800.0,) * 7, quality=SAME)
    (text,) = sentences([*three_variants(quality=SAME), compiled])
    assert "(pytorch-fixed) and 2.00x [2.00, 2.00] as fast as compiled PyTorch (pytorch-compiled)" in text
    assert "was not measured" not in text
    (chosen,) = sentences([*three_variants(quality=SAME)[:2], compiled])
    assert chosen.startswith("|pytorch-compiled is the fastest variant")
    assert "compiled PyTorch" not in chosen
    (alone,) = sentences([compiled, a_record("onnx-int8", quality=SAME)])
    assert "neither pytorch-dynamic nor pytorch-fixed was measured" in alone


def test_where_compiled_pytorch_is_missing_every_comparison_says_so() -> None:
    """Of a ladder, too; not where it failed, which is said, nor where nothing is compared."""
    missing = "Compiled PyTorch (pytorch-compiled) was not measured."
    assert all(missing in text for text in sentences(a_ladder(quality=SAME)))
    assert missing in sentences([*three_variants()[:2], a_record("onnx-fp32", (2000.0,) * 7)])[0]
    (failed,) = sentences([*three_variants(quality=SAME), a_failure("pytorch-compiled")])
    assert missing not in failed
    assert "pytorch-compiled failed." in failed
    assert missing not in sentences(three_variants()[:2])[0]


def test_modelled_joules_are_called_modelled() -> None:
    """Never measured."""
    reading = {"grade": "modelled", "scope": "process share", "source": "CPU time x 4 W"}
    (text,) = sentences(three_variants(quality=SAME, reading=reading))
    assert "modelled energy reduction 2.50x [2.50, 2.50] (CPU time in other units)" in text
    assert "measured energy" not in text
    curve = {"grade": "modelled", "source": "power curve of 2 vCPUs of AMD EPYC (mean of 13 processors)"}
    (text,) = sentences(three_variants(quality=SAME, reading=curve))
    assert "modelled energy reduction 2.50x [2.50, 2.50] (power curve)." in text


def test_a_variant_that_cannot_be_exported_says_so_in_the_sentence() -> None:
    """Its engine is not one of the serving script."""
    pytorch = PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"engine": "pytorch"})
    (text,) = sentences(three_variants(quality=SAME, placement=pytorch))
    assert text.endswith("It cannot be exported: it runs in PyTorch with this project's code.|")


def test_a_sample_that_is_too_small_is_said_with_the_examples_that_would_do() -> None:
    """z^2 / n is 1 point at 385 examples of one candidate; the split has 1,000, so scoring all is enough."""
    few = a_quality(
        metrics={"accuracy": an_accuracy(count=100)}, answers_sha256="9" * 64, timed=100, untimed=0
    )
    (text,) = sentences(three_variants(quality=few))
    assert (
        "with the same answers to all 100 examples, too few to rule out a loss of more than 1 point of "
        "accuracy" in text
    )
    assert "About 385 examples would be enough: score all 1,000 of the split (--quality full)" in text
    assert text.endswith("|")  # no command


def test_all_of_a_split_is_not_called_enough_where_it_is_too_small() -> None:
    """z^2 / n is 0.1 points at 1.96^2 / 0.001 = 3,841 examples, and the split has 1,000."""
    few = a_quality(
        metrics={"accuracy": an_accuracy(count=100)}, answers_sha256="9" * 64, timed=100, untimed=0
    )
    (text,) = sentences(three_variants(quality=few), 0.1)
    needed = re.search(
        r"About ([\d,]+) examples would be enough, and the split has 1,000: score all of them", text
    )
    assert needed
    assert int(needed[1].replace(",", "")) == pytest.approx(1.96**2 / 0.001, rel=0.01)
    assert "(--quality full), give more data, or permit more" in text


def test_a_loss_that_seems_greater_is_not_called_a_small_sample() -> None:
    """80 against 88 percent with wide intervals: more examples would hardly show less than a point."""
    wide = {name: a_quality(metrics={"accuracy": an_accuracy(*score)}) for name, score in _SCORES.items()}
    records = [
        record.model_copy(update={"quality": wide.get(record.cell.variant, a_quality())})
        for record in three_variants()
    ]
    (text,) = sentences(records)
    assert "more than the permitted 1 point of accuracy, though 1,000 examples do not settle it" in text
    (permitted,) = sentences(records, 30)
    assert "is the fastest variant within 30 points of accuracy" in permitted


_SCORES = {"onnx-int8": (0.80, 0.70, 0.90)}


def test_the_loss_that_a_run_permitted_is_kept_by_its_report() -> None:
    """Its records hold the option; another value on the command line replaces it."""
    records = three_variants(quality=SAME, configuration={"max_quality_loss": 2.5})
    assert "within 2.5 points of accuracy" in sentences(records)[0]
    assert "within 7 points of accuracy" in sentences(records, 7)[0]


def test_groups_are_told_apart_by_what_they_differ_in() -> None:
    """Two tasks: each has its sentence, labelled with the task alone."""
    second = [
        moved(record, task="rte", group="rte-cpu", id=f"r{at}")
        for at, record in enumerate(three_variants(quality=SAME))
    ]
    texts = sentences([*three_variants(quality=SAME), *second])
    assert [text.partition("|")[0] for text in texts] == ["boolq", "rte"]


def test_a_long_sweep_shows_the_first_verdicts_and_counts_the_others() -> None:
    """JSON has all of them."""
    records = [
        moved(record, threads=at, group=f"g{at}", id=f"{at}-{number}")
        for at in range(1, LIMIT + 4)
        for number, record in enumerate(three_variants(quality=SAME))
    ]
    texts = sentences(records)
    assert len(texts) == LIMIT + 1
    assert texts[-1].startswith("|3 more groups")
    assert len(json.loads(rendered(records, "json"))["verdicts"]) == LIMIT + 3


def test_offline_is_about_throughput_and_a_ladder_has_a_verdict_for_both_scenarios() -> None:
    """The ladder's first rung is what its rungs are compared with."""
    offline, single = sentences(a_ladder(quality=SAME))
    assert offline.startswith(
        "offline|multi-instance is the fastest variant within 1 point of accuracy: 40.0x"
    )
    assert "the throughput of the first rung (fixed)" in offline
    assert single.startswith("single-stream|")
    assert "as fast as the first rung (fixed)" in single


def test_at_an_offered_rate_latency_decides_and_a_search_compares_rates() -> None:
    """There is no time per request there; rates of the search are of single trials."""

    def served(variant: str, ms: float, **load: Any) -> Record:
        facts = {"rate": 10.0, "achieved": 10.0, "overloaded": False, "seed": 0} | load
        latency = {"p50": a_percentile(ms), "p99": a_percentile(2 * ms)}
        cell = {"scenario": "server", "rate": 10.0}
        return a_record(variant, ROUNDS_MS, cell=cell, load=OfferedLoad(**facts), latency=latency)

    (rate,) = sentences([served("pytorch-dynamic", 20), served("onnx-int8", 5)])
    assert "there is no speed-up: onnx-int8 answers soonest, p99 in 10.0 ms [9.8, 10.2]" in rate
    assert "pytorch-dynamic in 40.0 ms [39.2, 40.8]" in rate
    (search,) = sentences(
        [
            served("pytorch-dynamic", 20, promise="p99=20ms", highest_rate=30.0),
            served("onnx-int8", 5, promise="p99=20ms", highest_rate=120.0),
        ]
    )
    assert "onnx-int8 keeps p99=20ms at the highest rate: 120 requests/s, 4.00 times that of" in search
    assert "Rates are those of single trials, without an interval." in search
    few = RateTrial(
        rate=30.0, achieved=30.0, requests=40, value_ns=1, overloaded=False, kept=True, needed=662, have=40
    )
    (search,) = sentences([served("onnx-int8", 5, promise="p99=20ms", highest_rate=30.0, trials=(few,))])
    assert "only indications: the objective was judged over 40 distinct requests, and needs 662." in search


def test_failures_and_missing_references_are_in_the_sentence() -> None:
    """Neither is silent."""
    (failed,) = sentences([*three_variants(quality=SAME), a_failure("onnx-fp32")])
    assert "onnx-fp32 failed." in failed
    (alone,) = sentences([a_record("onnx-int8")])
    assert "neither pytorch-dynamic nor pytorch-fixed was measured" in alone


def test_the_text_ends_with_the_verdict_and_markdown_begins_with_it() -> None:
    """The command is on a line of its own, to copy."""
    records = three_variants(quality=SAME, placement=ONNX)
    assert rendered(records, "text").splitlines()[-1].startswith("  bench export onnx-int8 ")
    head = rendered(records, "markdown").splitlines()
    assert head[0].startswith("**Verdict.** onnx-int8 is the fastest variant within 1 point of accuracy")
    assert head[2:5:2] == ["```sh", "```"]
    assert head[3].startswith("bench export onnx-int8 ")


def test_json_has_the_verdict_as_an_object() -> None:
    """Unrounded, with the intervals that hold for all candidates."""
    (verdict,) = json.loads(rendered(three_variants(quality=SAME, placement=ONNX), "json"))["verdicts"]
    assert (verdict["outcome"], verdict["variant"], verdict["candidates"]) == ("faster", "onnx-int8", 1)
    assert verdict["factors"]["pytorch-dynamic"]["value"] == pytest.approx(2.5)
    assert verdict["quality_change_points"]["fit"] == "within"
    assert verdict["energy_reduction"]["grade"] == "measured"
    assert verdict["max_quality_loss_points"] == 1
    assert verdict["command"].startswith("bench export onnx-int8")


def test_hostile_names_stay_text_in_every_format() -> None:
    """A name with a line break, markup, a shell's command and a fence begins no line and no tag."""
    name = "x\n# <script>alert(1)</script> `rm -rf` $(rm)\n```"
    records = [*three_variants(quality=SAME)[:2], a_record(name, (100.0,) * 7, quality=SAME, placement=ONNX)]
    assert "<script>alert" not in rendered(records, "html")
    lines = rendered(records, "markdown").splitlines()
    assert [line for line in lines if line.startswith("```")] == ["```sh", "```"]
    outside = [line for line in lines if not line.startswith("bench export")]
    assert not any("<script>" in line for line in outside)
    (verdict,) = verdict_texts(build_report(records, CostFactors()).verdicts())
    words = shlex.split(verdict.command)
    assert words[3:5] == ["--task", "boolq"]  # the name is one word, whatever it holds
    assert words[-1].startswith("served/boolq-x-script-alert")
