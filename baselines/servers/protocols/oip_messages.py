"""The messages of the Open Inference Protocol over gRPC, described by a table of their fields.

The library of protocol buffers makes their classes from it as they are needed. Generated code would be tied
to the version of the library that a user has, and making it takes a compiler.
Source: `open_inference_grpc.proto` of the protocol, version 2; fields that no text classifier needs are left
out, and the library skips them in what it reads.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

PACKAGE = "inference"

_NAMED = (("name", 1, "string"), ("version", 2, "string"))
_MANY = "*"
"""Ends the type of a field that may be there several times."""

FIELDS: Mapping[str, tuple[tuple[str, int, str], ...]] = {
    "ServerReadyRequest": (),
    "ServerReadyResponse": (("ready", 1, "bool"),),
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": (("ready", 1, "bool"),),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": _NAMED,
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse": (("name", 1, "string"), ("inputs", 4, "Tensor*"), ("outputs", 5, "Tensor*")),
    "ModelInferRequest": (
        ("model_name", 1, "string"),
        ("model_version", 2, "string"),
        ("inputs", 5, "Tensor*"),
    ),
    "ModelInferResponse": (
        ("model_name", 1, "string"),
        ("outputs", 5, "Tensor*"),
        ("raw_output_contents", 6, "bytes*"),
    ),
    # three messages of the protocol, whose fields have the same numbers
    "Tensor": (
        ("name", 1, "string"),
        ("datatype", 2, "string"),
        ("shape", 3, "int64*"),
        ("contents", 5, "Contents"),
    ),
    "Contents": (
        ("bool_contents", 1, "bool*"),
        ("int_contents", 2, "int32*"),
        ("int64_contents", 3, "int64*"),
        ("uint_contents", 4, "uint32*"),
        ("uint64_contents", 5, "uint64*"),
        ("fp32_contents", 6, "float*"),
        ("fp64_contents", 7, "double*"),
        ("bytes_contents", 8, "bytes*"),
    ),
}
"""Name, number and type of each field, by message."""


def message(name: str, /, **fields: object) -> Any:  # noqa: ANN401 -- a class that the library makes
    """Return a message with these fields."""
    return _classes()[name](**fields)


def read_message(name: str, content: bytes) -> Any:  # noqa: ANN401
    """Return the message that these bytes are; ValueError where they are none."""
    from google.protobuf.message import DecodeError

    try:
        return _classes()[name].FromString(content)
    except DecodeError:
        raise ValueError(f"not a message {name} of protocol buffers") from None


@cache
def _classes() -> Mapping[str, Any]:
    """Return a class for each message, in a pool of its own: other packages describe the same messages."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    file = FileDescriptorProto(name="open_inference.proto", package=PACKAGE, syntax="proto3")
    for name, fields in FIELDS.items():
        described = file.message_type.add(name=name)
        for field, number, kind in fields:
            _describe(described.field.add(name=field, number=number), kind)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in FIELDS}


def _describe(field: Any, kind: str) -> None:  # noqa: ANN401
    single = kind.removesuffix(_MANY)
    field.label = field.LABEL_OPTIONAL if single == kind else field.LABEL_REPEATED
    if single in FIELDS:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{single}"
    else:
        field.type = getattr(field, f"TYPE_{single.upper()}")
