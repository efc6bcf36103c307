import pytest

from harness.measurement.energy.cpu.models.architecture import GENERATIONS, generation_of


def info(
    vendor: str, family: int, model: int, stepping: int, name: str = "Intel Xeon Processor"
) -> dict[str, str]:
    """Return the fields of /proc/cpuinfo."""
    return {
        "vendor_id": vendor,
        "cpu family": str(family),
        "model": str(model),
        "stepping": str(stepping),
        "model name": name,
    }


@pytest.mark.parametrize(
    ("stepping", "generation"), [(4, "Skylake"), (5, "Cascade Lake"), (7, "Cascade Lake"), (11, None)]
)
def test_three_generations_share_a_model_and_differ_in_the_stepping(
    stepping: int, generation: str | None
) -> None:
    """Model 85: Skylake up to 4, Cascade Lake from 5 to 7, then Cooper Lake, which has no row."""
    assert generation_of(info("GenuineIntel", 6, 85, stepping)) == generation


def test_a_client_processor_is_no_server() -> None:
    """Zen is in Ryzen and in EPYC, with the same numbers."""
    assert generation_of(info("AuthenticAMD", 23, 1, 2, "AMD EPYC 7571")) == "AMD EPYC 1st Gen"
    assert generation_of(info("AuthenticAMD", 23, 1, 2, "AMD Ryzen 7 1700")) is None
    assert generation_of(info("GenuineIntel", 6, 158, 10, "Intel(R) Core(TM) i7-8700K")) is None


def test_numbers_that_are_missing_or_foreign_are_no_generation() -> None:
    """Nor is another vendor's processor with Intel's numbers."""
    assert generation_of({}) is None
    assert generation_of(info("GenuineIntel", 6, 106, 6) | {"stepping": "unknown"}) is None
    assert generation_of(info("HygonGenuine", 6, 106, 6)) is None


def test_no_processor_fits_two_generations() -> None:
    """The first row would win in silence."""
    for vendor, family in {(row.vendor, row.family) for row in GENERATIONS}:
        for model in range(256):
            for stepping in range(16):
                fitting = {
                    row.name
                    for row in GENERATIONS
                    if row.fits(vendor, family, model, stepping, "AMD EPYC, Intel Xeon")
                }
                assert len(fitting) <= 1
