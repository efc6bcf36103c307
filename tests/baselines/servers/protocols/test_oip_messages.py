import pytest

from baselines.servers.protocols.oip_messages import message, read_message


def test_fields_have_the_numbers_of_the_protocol() -> None:
    """The bytes of a request as the protocol's own description gives them, written by hand."""
    tensor = message("Tensor", name="t", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(b"hi")
    # a field begins with 8 x number + 2 where a length follows: 0x0a 1, 0x12 2, 0x1a 3, 0x2a 5, 0x42 8
    inner = b"\x0a\x01t" + b"\x12\x05BYTES" + b"\x1a\x01\x01" + b"\x2a\x04" + b"\x42\x02hi"
    expected = b"\x0a\x01m" + b"\x2a" + bytes([len(inner)]) + inner
    assert message("ModelInferRequest", model_name="m", inputs=[tensor]).SerializeToString() == expected


def test_fields_that_are_not_needed_are_skipped() -> None:
    """`id` is field 3 of an answer."""
    answer = read_message("ModelInferResponse", b"\x0a\x01m\x1a\x02id")
    assert (answer.model_name, list(answer.outputs)) == ("m", [])
    with pytest.raises(ValueError, match="not a message ServerReadyResponse"):
        read_message("ServerReadyResponse", b"\xff")
