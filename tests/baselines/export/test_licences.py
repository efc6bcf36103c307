import json
from dataclasses import replace
from pathlib import Path

import pytest

from baselines.export.documentation import licences
from baselines.export.licences import UNKNOWN, find_licences
from baselines.models import resolve
from harness.systems.interface import Checkpoint


def terms(folder: Path, **files: str) -> list[tuple[str, str]]:
    """Write files into a model's folder, and return the models and the terms of their licences."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    licences = find_licences(Checkpoint("mine", folder, "local", "f"))
    return [(licence.model, licence.terms) for licence in licences]


def test_a_folder_that_states_no_licence_is_unknown(tmp_path: Path) -> None:
    """Nothing is guessed from a name."""
    assert terms(tmp_path) == [("mine", UNKNOWN)]
    assert terms(tmp_path, README_md="# A model\n\nlicense: mit\n", config_json="{") == [("mine", UNKNOWN)]


def test_a_model_card_names_the_licence(tmp_path: Path) -> None:
    """In the metadata at its beginning; else the configuration may."""
    card = "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n"
    assert terms(tmp_path, config_json='{"license": "mit"}') == [("mine", "mit, as stated in its folder")]
    assert terms(tmp_path, README_md=card) == [("mine", "apache-2.0, as stated in its folder")]


def test_a_licence_file_is_quoted_whole(tmp_path: Path) -> None:
    """It must go along with what it covers."""
    assert terms(tmp_path, LICENSE_txt="Permission\n\nis granted.") == [
        ("mine", "see below (LICENSE.txt of its folder)")
    ]
    page = licences(find_licences(Checkpoint("mine", tmp_path, "local", "f")), "No data.")
    assert (
        "- `mine`: see below (LICENSE.txt of its folder). Its text:\n\n    Permission\n\n    is granted."
        in page
    )


def test_the_embedded_encoder_is_the_projects_own(tmp_path: Path) -> None:
    """It ships with it."""
    own = replace(Checkpoint("embedded", tmp_path, "local", "f"), tier="embedded")
    assert find_licences(own)[0].terms.startswith("Apache-2.0")


def test_what_a_model_was_fine_tuned_from_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its licence is read where it is at hand and is the very same, by its hash."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    monkeypatch.setattr(resolve, "minilm_folder", lambda: base)
    monkeypatch.setattr("baselines.export.licences.fingerprint", lambda _folder: "abc")
    folder = tmp_path / "mine"
    folder.mkdir()
    for parents, expected in ((["abc"], "apache-2.0, as stated in its folder"), (["another"], UNKNOWN)):
        training = json.dumps({"parent_name": "minilm", "parents": parents})
        own = ("mine", f"{UNKNOWN}; it was fine-tuned from `minilm`")
        assert terms(folder, training_json=training) == [own, ("minilm", expected)]
