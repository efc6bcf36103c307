"""What an exported folder holds for model servers; two of them with stand-ins for their modules."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from baselines.export.servers import SERVERS, require_servable, server_files
from harness.common.errors import UnsupportedError, UsageError
from harness.workload.tasks import get_task

PAIR = {"pair": True}


@pytest.mark.parametrize("server", SERVERS)
def test_each_server_gets_its_files_and_a_section_of_the_readme(server: str) -> None:
    """Nothing that every folder has already."""
    made = server_files(server, PAIR, "rte")
    taken = {"serve.py", "serve_http.py", "engine.py", "settings.json", "requirements.txt", "README.md"}
    assert not taken & made.files.keys()
    assert made.notes.startswith("\n## Serve it with ")
    for name, text in made.files.items():
        if name.endswith(".py"):
            compile(text, name, "exec")


def test_the_tensors_are_those_that_the_open_inference_client_finds() -> None:
    """One for single texts, two for pairs."""
    from baselines.servers.protocols.oip import protocol_of

    for pair, names in ((True, ("first", "second")), (False, ("first",))):
        made = server_files("mlserver", {"pair": pair}, "rte")
        settings = json.loads(made.files["mlserver-model/model-settings.json"])
        assert settings["name"] == "rte"
        assert protocol_of(settings).inputs == names
        config = server_files("triton", {"pair": pair}, "rte").files["triton/rte/config.pbtxt"]
        assert config.count("TYPE_STRING") == len(names) + 1
        graph = server_files("ovms", {"pair": pair}, "rte").files["ovms/rte/graph.pbtxt"]
        assert graph.count("OVMS_PY_TENSOR_") == len(names)


def test_what_a_server_has_no_form_for_is_refused() -> None:
    """Choices and spans; and a server that is not known."""
    require_servable("mlserver", get_task("multirc"))
    with pytest.raises(UnsupportedError, match="copa is not answered by one label for each text"):
        require_servable("mlserver", get_task("copa"))
    with pytest.raises(UsageError, match="unknown server 'tritn'") as caught:
        require_servable("tritn", get_task("rte"))
    assert "triton" in str(caught.value.remedy)


@dataclass
class Tensor:
    """A tensor of Triton."""

    name: str
    values: Any

    def as_numpy(self) -> Any:
        return self.values


@dataclass
class Response:
    """A response of Triton."""

    output_tensors: list[Tensor]
    error: Any = None


SERVE = """
INVALID = (ValueError,)
class Classifier:
    settings = {"pair": True}
    def __init__(self, folder):
        self.folder = folder
    def answer(self, request):
        if not request["inputs"]:
            raise ValueError("at least one")
        return {"label": [row["first"] + "+" + row["second"] for row in request["inputs"]]}
"""


@pytest.fixture
def triton_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Load the model of a written folder, with a classifier that shows what it was given."""
    for name, text in {**server_files("triton", PAIR, "rte").files, "serve.py": SERVE}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    utils = ModuleType("triton_python_backend_utils")
    vars(utils).update(
        Tensor=Tensor,
        InferenceResponse=Response,
        TritonError=str,
        get_input_tensor_by_name=lambda request, name: request[name],
    )
    monkeypatch.setitem(sys.modules, utils.__name__, utils)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "serve", raising=False)
    path = tmp_path / "triton" / "rte" / "1" / "model.py"
    module = ModuleType("model")
    module.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), vars(module))
    model = module.TritonPythonModel()
    model.initialize({})
    yield model
    sys.modules.pop("serve", None)


@dataclass
class OvmsTensor:
    """A tensor of OpenVINO Model Server."""

    name: str
    content: bytes
    shape: Any = None
    datatype: str = ""

    def __bytes__(self) -> bytes:
        return self.content


@pytest.fixture
def ovms_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Load the node of a written folder, with a classifier that shows what it was given."""
    for name, text in {**server_files("ovms", PAIR, "rte").files, "serve.py": SERVE}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    pyovms = ModuleType("pyovms")
    vars(pyovms).update(Tensor=OvmsTensor)
    monkeypatch.setitem(sys.modules, "pyovms", pyovms)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "serve", raising=False)
    (served,) = json.loads((tmp_path / "ovms/config.json").read_text())["mediapipe_config_list"]
    graph = tmp_path / "ovms" / served["base_path"] / served["graph_path"]
    assert 'handler_path: "serve_ovms.py"' in graph.read_text()
    path = graph.with_name("serve_ovms.py")
    module = ModuleType("serve_ovms")
    module.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), vars(module))
    node = module.OvmsPythonModel()
    node.initialize({})
    yield node
    sys.modules.pop("serve", None)


def packed(name: str, *texts: str) -> OvmsTensor:
    parts = [text.encode() for text in texts]
    return OvmsTensor(name, b"".join(len(part).to_bytes(4, "little") + part for part in parts))


def test_a_node_of_openvino_model_server_labels_texts_by_the_name_of_their_tensor(ovms_node: Any) -> None:
    """Whatever the order of the tensors; a text may be empty; what cannot be answered is raised."""
    (label,) = ovms_node.execute([packed("second", "b", ""), packed("first", "é", "a")])
    assert (label.name, label.shape, label.datatype) == ("label", [2], "BYTES")
    assert bytes(label) == bytes(packed("label", "é+b", "a+"))
    for first in ([], ["a", "b"]):
        with pytest.raises(ValueError, match=r"at least one|zip\(\)"):
            ovms_node.execute([packed("first", *first), packed("second", *first[:1])])


def column(*texts: str) -> Tensor:
    return Tensor("text", np.array([text.encode() for text in texts], dtype=object))


def test_triton_s_model_answers_each_request_with_the_labels_of_its_texts(triton_model: Any) -> None:
    """UTF-8 in both directions; a request of another form has an error, and the others have none."""
    good = {"first": column("a", "é"), "second": column("b", "c")}
    empty = {"first": column(), "second": column()}
    uneven = {"first": column("a"), "second": column("b", "c")}
    answers = triton_model.execute([good, empty, uneven])
    assert [label.decode() for label in answers[0].output_tensors[0].values] == ["a+b", "é+c"]
    assert (answers[0].error, answers[1].error) == (None, "at least one")
    assert "zip()" in answers[2].error
