from dataclasses import replace

from harness.records.cell import Cell, group_cells

CELL = Cell("boolq", "onnx-int8", "cpu", "single-stream", 2, 256, "data", "model")


def test_cells_that_differ_only_in_the_variant_share_a_group() -> None:
    """They are the ones that are compared."""
    other = replace(CELL, variant="onnx-fp32")
    assert other.id != CELL.id
    assert other.group == CELL.group
    assert group_cells([CELL, other]) == {CELL.group: [CELL, other]}


def test_anything_else_that_differs_makes_another_group() -> None:
    """Threads, scenario, length, data and model are never compared across."""
    others = [
        replace(CELL, threads=1),
        replace(CELL, scenario="offline"),
        replace(CELL, max_length=128),
        replace(CELL, data="other"),
        replace(CELL, model="other"),
        replace(CELL, boundary="text"),
    ]
    assert len({cell.group for cell in (CELL, *others)}) == 7
    assert len({cell.id for cell in (CELL, *others)}) == 7


def test_the_id_reads_as_what_the_cell_is() -> None:
    """It is also a file name, so it holds no colon."""
    assert replace(CELL, device="cuda:1").id.startswith("boolq-onnx-int8-cuda1-single-stream-")
