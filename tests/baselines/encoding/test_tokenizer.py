"""Text becomes the ids that transformers would give, and truncation leaves the question whole."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.encoding.tokenizer import TextEncoder, position_limit
from harness.common.errors import DataError, UsageError
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Example, Span, TextInput, Truncation


@pytest.fixture(scope="module")
def reference_tokenizer(boolq_folder: Path) -> Any:
    """Load transformers' own fast tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(boolq_folder)


def encode(folder: Path, first: str, second: str | None = None, length: int = 32) -> EncodedSequence:
    request = TextEncoder(folder, length).encode([Example("0", (TextInput(first, second),))])[0]
    return request.sequences[0]


@settings(deadline=None, max_examples=150)
@given(first=st.text(max_size=120), second=st.text(max_size=60), length=st.integers(5, 64))
def test_ids_and_segments_are_those_of_transformers(
    boolq_folder: Path, reference_tokenizer: Any, first: str, second: str, length: int
) -> None:
    """Whatever the text and the length, also where truncation must fall on the second text."""
    sequence = encode(boolq_folder, first, second, length)
    # in lists: alone, an empty second text would count as none there
    whole = reference_tokenizer([first], [second])["input_ids"][0]
    over = len(whole) - length
    only_first = len(reference_tokenizer(first, add_special_tokens=False)["input_ids"]) > over
    cut = ("only_first" if only_first else "longest_first") if over > 0 else False
    expected = reference_tokenizer([first], [second], truncation=cut, max_length=length if cut else None)
    assert sequence.ids.tolist() == expected["input_ids"][0]
    assert sequence.segments.tolist() == expected["token_type_ids"][0]
    assert sequence.cut == max(over, 0)
    assert len(sequence.ids) <= length


STRATEGIES = {"first": "only_first", "second": "only_second", "longest": "longest_first"}


@settings(deadline=None, max_examples=150)
@given(
    sizes=st.tuples(st.integers(0, 40), st.integers(1, 40)),
    order=st.sampled_from(["first", "second", "longest"]),
    length=st.integers(5, 64),
    side=st.sampled_from(["right", "left"]),
    library=st.booleans(),
)
def test_the_text_that_is_named_is_cut_as_transformers_does(
    sided: dict[str, Path], sizes: tuple[int, int], order: Truncation, length: int, side: str, library: bool
) -> None:
    """By name or the longer one, at either side; the longer one too where the named text would vanish."""
    from transformers import AutoTokenizer

    first, second = ("lake " * sizes[0], "frozen winter " * sizes[1])
    tokens = (sizes[0], 2 * sizes[1])
    encoder = TextEncoder(sided[side], length, library=library)
    (sequence,) = encoder.encode([Example("0", (TextInput(first, second, truncate=order),))])[0].sequences
    cut = max(sum(tokens) + 3 - length, 0)
    named = dict(zip(STRATEGIES, tokens, strict=False)).get(order, 0)
    strategy = (STRATEGIES[order] if named > cut else "longest_first") if cut else False
    reference = AutoTokenizer.from_pretrained(sided["right"], truncation_side=side)
    expected = reference([first], [second], truncation=strategy, max_length=length if cut else None)
    ids = expected["input_ids"][0]
    assert sequence.ids.tolist() == ids
    assert sequence.segments.tolist() == expected["token_type_ids"][0]
    lake = reference.convert_tokens_to_ids("lake")
    kept = ids.count(lake), len(ids) - 3 - ids.count(lake)
    assert sequence.cut == cut
    assert sequence.losses == (
        (tokens[0], tokens[0] - kept[0], tokens[1], tokens[1] - kept[1]) if cut else ()
    )


def test_a_question_before_its_passage_is_not_lost(boolq_folder: Path) -> None:
    """Of 11 and 27 tokens and 3 special ones, 32 stay: the longer text loses 9, or the one that is named."""
    question, passage = "is the lake frozen in winter each year and people skate", "lake " * 27
    for order, lost in (("first", (11, 9, 27, 0)), ("longest", (11, 0, 27, 9)), ("second", (11, 0, 27, 9))):
        example = Example("0", (TextInput(question, passage, truncate=order),))
        (sequence,) = TextEncoder(boolq_folder, 32).encode([example])[0].sequences
        assert sequence.losses == lost


@pytest.fixture(scope="module")
def sided(boolq_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the checkpoint, and a copy whose tokenizer.json cuts at the left."""
    folder = tmp_path_factory.mktemp("sides") / "left"
    path = Path(shutil.copytree(boolq_folder, folder)) / "tokenizer.json"
    truncation = {"direction": "Left", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncation": truncation}))
    return {"right": boolq_folder, "left": folder}


def test_a_single_text_is_encoded_alone(boolq_folder: Path, reference_tokenizer: Any) -> None:
    """Tasks with one text get one segment."""
    sequence = encode(boolq_folder, "the lake")
    assert sequence.ids.tolist() == reference_tokenizer("the lake")["input_ids"]
    assert set(sequence.segments.tolist()) == {0}


def test_the_question_survives_truncation(boolq_folder: Path) -> None:
    """A passage of 40 words and a question of 3 at length 12: 3 special tokens, 3 of the question, 6 left."""
    passage, question = "lake " * 40, "is the winter"
    sequence = encode(boolq_folder, passage, question, 12)
    assert sequence.ids[-4:-1].tolist() == encode(boolq_folder, question).ids[1:-1].tolist()
    # 40 + 3 + 3 = 46 tokens, of which 12 stay
    assert sequence.cut == 34


def test_the_tokenizers_own_truncation_and_padding_do_not_count(boolq_folder: Path, tmp_path: Path) -> None:
    """A tokenizer.json that sets 8 tokens and padding encodes as one that sets neither."""
    folder = Path(shutil.copytree(boolq_folder, tmp_path / "copy"))
    path = folder / "tokenizer.json"
    truncation = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    padding = {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "truncation": truncation, "padding": padding})
    )
    for text in ("the lake", "the lake " * 10):
        assert encode(folder, text).ids.tolist() == encode(boolq_folder, text).ids.tolist()


def test_spans_become_token_offsets(boolq_folder: Path) -> None:
    """`frozen` is the fourth word, so token 4 after [CLS]; a word in two pieces spans two tokens."""
    text = "is the lake frozen xy"
    example = Example("0", (TextInput(text, None, (Span(12, 18), Span(19, 21))),))
    sequence = TextEncoder(boolq_folder, 32).encode([example])[0].sequences[0]
    assert sequence.spans == ((4, 5), (5, 7))


def test_spans_of_the_second_text_count_from_its_own_beginning(boolq_folder: Path) -> None:
    """[CLS] the lake [SEP] is frozen xy [SEP]: `frozen` is token 5, `xy` tokens 6 and 7."""
    spans = (Span(4, 8), Span(3, 9, 1), Span(10, 12, 1))
    example = Example("0", (TextInput("the lake", "is frozen xy", spans),))
    (sequence,) = TextEncoder(boolq_folder, 32).encode([example])[0].sequences
    assert sequence.spans == ((2, 3), (5, 6), (6, 8))
    assert sequence.ids.tolist() == encode(boolq_folder, "the lake", "is frozen xy").ids.tolist()


def test_a_span_after_a_first_text_that_was_cut_is_where_its_word_is(boolq_folder: Path) -> None:
    """20 words cut to 4 with a second text of 2: `frozen` is the last token but one."""
    example = Example("0", (TextInput("lake " * 20, "is frozen", (Span(0, 4), Span(3, 9, 1))),))
    (sequence,) = TextEncoder(boolq_folder, 9).encode([example])[0].sequences
    assert sequence.spans == ((1, 2), (7, 8))
    assert sequence.ids[7] == encode(boolq_folder, "frozen").ids[1]
    assert sequence.cut == 16


def test_a_span_of_several_words_reaches_from_the_first_to_the_last(boolq_folder: Path) -> None:
    """`the lake` of `is the lake frozen`, a line break inside: tokens 2 and 3."""
    example = Example("0", (TextInput("is the\nlake frozen", None, (Span(3, 11), Span(0, 2))),))
    assert TextEncoder(boolq_folder, 32).encode([example])[0].sequences[0].spans == ((2, 4), (1, 2))


texts = st.lists(st.sampled_from((*tiny.WORDS, "xy", "Lake!", "")), max_size=30).map(" ".join)


@settings(deadline=None, max_examples=100)
@given(first=texts, seconds=st.lists(texts, min_size=1, max_size=4), length=st.integers(8, 64))
def test_candidates_that_share_their_first_text_are_encoded_as_if_alone(
    boolq_folder: Path, first: str, seconds: list[str], length: int
) -> None:
    """Ids, segments and what was cut, with and without truncation, by the tokenizer's own way for a pair."""
    from tokenizers import Tokenizer

    grouped = Example("0", tuple(TextInput(first, second) for second in seconds))
    (request,) = TextEncoder(boolq_folder, length).encode([grouped])
    tokenizer = Tokenizer.from_file(str(boolq_folder / "tokenizer.json"))
    for sequence, second in zip(request.sequences, seconds, strict=True):
        tokenizer.no_truncation()
        whole = tokenizer.encode(first, second)
        over = max(len(whole) - length, 0)
        own = len(tokenizer.encode(first, add_special_tokens=False))
        if over:
            tokenizer.enable_truncation(length, strategy="only_first" if own > over else "longest_first")
        expected = tokenizer.encode(first, second)
        assert sequence.ids.tolist() == expected.ids
        assert sequence.segments.tolist() == expected.type_ids
        assert sequence.cut == over
        if over and own > over:
            # [SEP] and the second text, whole, and [SEP]
            tokenizer.no_truncation()
            tail = tokenizer.encode(second, add_special_tokens=False).ids
            assert sequence.ids.tolist()[len(sequence.ids) - 1 - len(tail) : -1] == tail


def test_a_span_that_was_cut_off_is_an_error(boolq_folder: Path) -> None:
    """A span that points nowhere must not become a wrong answer."""
    example = Example("7", (TextInput("lake " * 40, None, (Span(190, 194),)),))
    with pytest.raises(DataError, match="no token within the maximum length"):
        TextEncoder(boolq_folder, 8).encode([example])


def test_a_length_beyond_the_positions_is_refused_with_the_limit(boolq_folder: Path) -> None:
    """The tiny model has 64 positions."""
    with pytest.raises(UsageError, match=r"takes 5 to 64 tokens(.|\n)*--max-length 64"):
        TextEncoder(boolq_folder, 65)
    with pytest.raises(UsageError, match="maximum length 4 does not fit"):
        TextEncoder(boolq_folder, 4)


def test_positions_of_the_roberta_family_count_from_the_padding() -> None:
    """514 positions, padding id 1: the first token has position 2, so 512 tokens fit."""
    roberta = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    assert position_limit(roberta) == 512
    assert position_limit({**roberta, "model_type": "bert"}) == 514
    assert position_limit({"model_type": "t5"}) is None


def test_examples_become_requests_in_order(boolq_folder: Path) -> None:
    """Ids stay with their examples, and each candidate of a grouped example is one sequence."""
    grouped = Example("g", (TextInput("the lake", "is"), TextInput("the lake", "winter")))
    requests = TextEncoder(boolq_folder, 32).encode([*tiny.examples(2), grouped])
    assert [request.id for request in requests] == ["0", "1", "g"]
    assert [len(request.sequences) for request in requests] == [1, 1, 2]
