"""The attacks that verification is tried with, each on records whose hashes are then made anew."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from tampering import Arrays, Attack, Change, Payload

from harness.analysis.statistics.latency_percentiles import TimedPass, percentiles

MODEL = "modelled"


def on_readings(change: Any) -> Change:
    """Return the change of every reading of every round."""

    def apply(payload: Payload, arrays: Arrays) -> None:
        del arrays
        for item in payload["rounds"]:
            for reading in item["readings"]:
                change(reading)

    return apply


def on_rounds(change: Any) -> Change:
    """Return the change of every round."""

    def apply(payload: Payload, arrays: Arrays) -> None:
        del arrays
        for item in payload["rounds"]:
            change(item)

    return apply


def on_record(change: Any) -> Change:
    """Return the change of the JSON object alone."""

    def apply(payload: Payload, arrays: Arrays) -> None:
        del arrays
        change(payload)

    return apply


def halve_energy(payload: Payload, arrays: Arrays) -> None:
    """Halve the joules of every round."""
    on_readings(lambda reading: reading.update(microjoules=reading["microjoules"] // 2))(payload, arrays)


def halve_energy_and_cpu_time(payload: Payload, arrays: Arrays) -> None:
    """Halve the joules, and the CPU time that they are modelled from."""
    halve_energy(payload, arrays)
    on_rounds(lambda item: item.update(cpu_ns=item["cpu_ns"] // 2))(payload, arrays)


def halve_watts(payload: Payload, arrays: Arrays) -> None:
    """Halve the joules, and the watts of the model."""
    halve_energy(payload, arrays)
    payload["energy"]["describe"]["watts_per_cpu"] /= 2


def call_it_measured(payload: Payload, arrays: Arrays) -> None:
    """Change the grade of every reading."""
    on_readings(lambda reading: reading.update(grade="measured"))(payload, arrays)


def call_the_meter_rapl(payload: Payload, arrays: Arrays) -> None:
    """Make the readings those of RAPL in every field; RAPL stays among the skipped meters."""
    new = {"grade": "measured", "zone": "package-0", "scope": "package", "source": "RAPL powercap"}
    on_readings(lambda reading: reading.update(new))(payload, arrays)
    payload["energy"] |= {"meter": "rapl", "describe": {"source": "RAPL powercap"}, "check": None}


def forget_skipped_meters(payload: Payload, arrays: Arrays) -> None:
    """Do the same, and remove the reason why RAPL was skipped."""
    call_the_meter_rapl(payload, arrays)
    payload["energy"]["skipped"] = []


def faster_percentiles(payload: Payload, arrays: Arrays) -> None:
    """Raise the latency percentiles by 1 %."""
    del arrays
    for percentile in payload["latency"].values():
        if percentile["value_ns"] is not None:
            percentile["value_ns"] *= 1.01


def slower_everywhere(payload: Payload, arrays: Arrays) -> None:
    """Make every call and window 1 % longer, and the percentiles anew: nothing but a signature shows it."""
    arrays["call_ns"] = np.round(arrays["call_ns"] * 1.01).astype(np.int64)
    windows = []
    for item in payload["rounds"]:
        calls = arrays["call_ns"][arrays["call_round"] == item["index"]]
        gaps = arrays["gap_ns"][arrays["call_round"] == item["index"]] if "gap_ns" in arrays else None
        item["wall_ns"] = int(calls.sum() + gaps.sum()) if gaps is not None else round(item["wall_ns"] * 1.01)
        for reading in item["readings"]:
            reading["span_ns"] = max(round(reading["span_ns"] * 1.01), item["wall_ns"])
        if item.get("asked_ns"):
            medians = np.median(calls.reshape(item.get("passes", 1), -1), axis=0)
            item["asked_ns"] = [round(value) for value in medians.tolist()]
        examples = arrays["timed_example"][arrays["timed_round"] == item["index"]].tolist()
        windows.append(TimedPass(examples, calls.tolist()))
    cell = payload["cell"]
    payload["latency"] = percentiles(cell["scenario"], cell["batch"], windows)


def remove_a_round(payload: Payload, arrays: Arrays) -> None:
    """Remove the last round from the record, and leave it in the samples."""
    del arrays
    payload["rounds"].pop()
    payload["rounds_planned"] -= 1


def remove_a_round_and_its_samples(payload: Payload, arrays: Arrays) -> None:
    """Remove the first round from record and samples, and make the figures anew."""
    index = payload["rounds"].pop(0)["index"]
    payload["rounds_planned"] -= 1
    calls, timed = arrays["call_round"] != index, arrays["timed_round"] != index
    for name in arrays:
        if name in ("call_ns", "call_round", "gap_ns"):
            arrays[name] = arrays[name][calls]
        elif name.startswith(("timed_", "cost_")):
            arrays[name] = arrays[name][timed]
    remake_latency(payload, arrays)


def remake_latency(payload: Payload, arrays: Arrays) -> None:
    """Make the percentiles of a record from its samples."""
    windows = [
        TimedPass(
            arrays["timed_example"][arrays["timed_round"] == item["index"]].tolist(),
            arrays["call_ns"][arrays["call_round"] == item["index"]].tolist(),
        )
        for item in payload["rounds"]
    ]
    payload["latency"] = percentiles(payload["cell"]["scenario"], payload["cell"]["batch"], windows)


def flip_a_prediction(payload: Payload, arrays: Arrays) -> None:
    """Give another answer to the first timed example, in both places."""
    del payload
    example = int(arrays["timed_example"][0])
    answer, other = (
        arrays["timed_answer"][0],
        next(a for a in arrays["answer"] if a != arrays["timed_answer"][0]),
    )
    assert answer != other
    arrays["timed_answer"][arrays["timed_example"] == example] = other
    arrays["answer"][example] = other


def flip_a_prediction_with_its_hashes(payload: Payload, arrays: Arrays) -> None:
    """Flip it, and make the hashes of the answers anew; the counts that scores are made of stay."""
    flip_a_prediction(payload, arrays)
    if payload["schema_version"] == 1:  # answers are numbers of labels
        texts = ["false" if number == 0 else "true" for number in arrays["answer"]]
        answered = arrays["answer"] >= 0
    else:
        texts, answered = arrays["answer"].tolist(), arrays["answered"]
    timed = sorted(set(arrays["timed_example"].tolist()))
    quality, order = payload["quality"], np.flatnonzero(answered).tolist()
    quality["answers_sha256"] = sha256_of(texts[index] for index in order)
    if quality.get("timed_sha256"):
        quality["timed_sha256"] = sha256_of(texts[index] for index in timed)


def sha256_of(answers: Iterable[str]) -> str:
    """Return the hash of answers as a record has it."""
    return hashlib.sha256("\n".join(answers).encode()).hexdigest()


def exchange_turns(payload: Payload, arrays: Arrays) -> None:
    """Exchange the positions of the first two rounds; in all records, so that each round has all turns."""
    del arrays
    first, second = payload["rounds"][:2]
    first["position"], second["position"] = second["position"], first["position"]


def swap(field: str) -> Change:
    """Return the change that exchanges a field of the first two rounds."""

    def apply(payload: Payload, arrays: Arrays) -> None:
        del arrays
        first, second = payload["rounds"][:2]
        if first[field] == second[field]:
            second[field] += 1
        else:
            first[field], second[field] = second[field], first[field]

    return apply


def swap_indexes_with_samples(payload: Payload, arrays: Arrays) -> None:
    """Exchange the numbers of the first two rounds in record and samples, so that other rounds are paired."""
    first, second = (item["index"] for item in payload["rounds"][:2])
    for name in ("call_round", "timed_round"):
        old = arrays[name].copy()
        arrays[name][old == first], arrays[name][old == second] = second, first
    payload["rounds"][0]["index"], payload["rounds"][1]["index"] = second, first
    payload["rounds"].sort(key=lambda item: item["index"])


def halve_size(payload: Payload) -> None:
    """Halve the size on disk."""
    payload["artifact"]["size_bytes"] //= 2


def one_more_token(payload: Payload) -> None:
    """Make one sequence of the first round a token longer."""
    first = payload["rounds"][0]
    if first.get("token_squares"):
        first["token_squares"] += 2 * (first["tokens"] // first["sequences"]) + 1
    first["tokens"] += 1


def raise_the_metric(payload: Payload) -> None:
    """Raise the primary metric by one point."""
    quality = payload["quality"]
    quality["metrics"][quality["primary"]]["value"] += 0.01


ATTACKS = (
    Attack("energy halved", halve_energy, "energy"),
    Attack("energy and CPU time halved", halve_energy_and_cpu_time, None),
    Attack("energy and watts halved", halve_watts, "energy", everywhere=True),
    Attack("grade changed", call_it_measured, "energy"),
    Attack("meter called RAPL", call_the_meter_rapl, "energy", everywhere=True),
    Attack("meter called RAPL, reasons removed", forget_skipped_meters, None, everywhere=True),
    Attack("latency +1 %", faster_percentiles, "latency"),
    Attack("latency, calls and windows +1 %", slower_everywhere, None),
    Attack("a round removed", remove_a_round, "rounds"),
    Attack("a round removed with its samples", remove_a_round_and_its_samples, "run"),
    Attack("a prediction flipped", flip_a_prediction, "quality"),
    Attack("a prediction flipped with its hashes", flip_a_prediction_with_its_hashes, None),
    Attack("memory halved", on_record(lambda record: record["memory"].update(peak_bytes=10**8)), None),
    Attack("size of a graph halved", on_record(halve_size), "status"),
    Attack("tokens of one round +1", on_record(one_more_token), None),
    Attack("fewer tokens than sequences", on_rounds(lambda item: item.update(tokens=1)), "rounds"),
    Attack("software", on_record(lambda record: record["software"].update(python="9.9")), "run"),
    Attack(
        "software of all records",
        on_record(lambda record: record["software"].update(python="9.9")),
        None,
        everywhere=True,
    ),
    Attack(
        "PyTorch's version in all records",
        on_record(lambda record: record["software"].update(torch="9.9")),
        "status",
        everywhere=True,
    ),
    Attack("index swapped", swap("index"), "rounds"),
    Attack("index swapped with the samples", swap_indexes_with_samples, "run"),
    Attack("slice swapped", swap("slice"), "run"),
    Attack("position swapped", swap("position"), "run"),
    Attack("turns of two rounds exchanged in all cells", exchange_turns, "run", everywhere=True),
    Attack("launch changed", swap("launch"), "run"),
    Attack("windows doubled", on_rounds(lambda item: item.update(wall_ns=2 * item["wall_ns"])), "rounds"),
    Attack("metric +1 point", on_record(raise_the_metric), "quality"),
    Attack(
        "host facts", on_record(lambda record: record["host"]["facts"].update(cpu_model="another")), "status"
    ),
    Attack("settings", on_record(lambda record: record["cell"].update(threads=1)), "names"),
    Attack("seed", on_record(lambda record: record.update(seed=record["seed"] + 1)), "status"),
    Attack("loading", on_record(lambda record: record["start"].update(load_ns=1)), None),
)
"""What was changed in a record, and the group of checks that finds it; None where it is on trust."""
