"""Copies with small edits are found, different documents left alone, no pair at the threshold missed."""

from __future__ import annotations

import inspect
import random
import statistics
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.errors import StoreError
from hardneg.guard import Sketches, TextClasses, block_of
from hardneg.guard.known_positives import KnownPositives
from hardneg.guard.minhash import rows_per_band
from hardneg.guard.near_duplicate import NearDuplicate
from hardneg.guard.portions import NormalisedTexts
from hardneg.guard.shingles import similarities
from hardneg.guard.similar_texts import SimilarPairs, similar_pairs
from hardneg.progress import Silent
from hardneg.records import Pairs
from hardneg.texts import normalise

THRESHOLD = 0.8


def shingles(text: str) -> set[str]:
    normalised = normalise(text)
    return {normalised[at : at + 5] for at in range(max(len(normalised) - 4, 1))} if normalised else set()


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b) if a and b else 0.0


def table(texts: list[str]) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.large_string())})


def rule(texts: list[str], positives: Pairs, threshold: float = THRESHOLD) -> NearDuplicate:
    corpus, queries = table(texts), table([f"query {number}" for number in range(len(positives.start) - 1)])
    classes = TextClasses.build(corpus, queries)
    known = KnownPositives(positives, classes)
    return NearDuplicate(known, classes, NormalisedTexts(corpus), Sketches.of(corpus), threshold)


def found(texts: list[str], positives: list[int], threshold: float = THRESHOLD) -> set[tuple[int, int]]:
    """(positive, document): each positive has a query of its own, and every document is a candidate."""
    queries = np.arange(len(positives), dtype=np.int32)
    known = Pairs.from_rows(queries, np.array(positives, np.int32), len(positives))
    every = np.tile(np.arange(len(texts), dtype=np.int32), (len(positives), 1))
    excluded = rule(texts, known, threshold).exclude(block_of(queries, every, known))
    return {(positives[row], int(column)) for row, column in zip(*np.nonzero(excluded), strict=True)}


def pairs(left: list[str], right: list[str], threshold: float = THRESHOLD) -> SimilarPairs:
    """All pairs of two sets."""
    rows = (np.arange(len(left), dtype=np.int64), np.arange(len(right), dtype=np.int64))
    texts = (NormalisedTexts(table(left)), NormalisedTexts(table(right)))
    return similar_pairs(texts[0], rows[0], texts[1], rows[1], threshold)


def english(words: int) -> str:
    """So many words of real prose: what Python's own modules say of themselves."""
    prose = " ".join(inspect.getdoc(part) or "" for part in (subprocess, statistics, textwrap, random))
    return " ".join(prose.split()[: words + 1])


CHINESE = (
    "蜜蜂在花丛之间采集花粉和花蜜，并在返回蜂巢之后用舞蹈告诉同伴食物所在的方向与距离。"
    "舞蹈的角度表示食物相对于太阳的方位，摆动的时间越长，说明食物离蜂巢越远。"
    "研究人员给工蜂涂上颜色，一只一只地跟踪，终于弄清了这种语言的含义。"
)
CHINESE_OF_THE_SAME_TOPIC = (
    "蜂巢里的蜜蜂分工明确：蜂王负责产卵，雄蜂负责交配，工蜂负责采集花蜜、哺育幼虫和守卫巢门。"
    "一只工蜂的寿命在夏天只有几个星期，在冬天可以达到几个月。"
)
BEES = (
    "A honey bee that has found a rich patch of flowers tells the others of its hive by a dance on the comb. "
    "The angle of the dance to the vertical is the angle of the food to the sun, and the longer she waggles, "
    "the farther the flowers are from the hive.",
    "The bees of a hive share out the work among them. The queen lays the eggs, the drones mate, and the "
    "workers gather nectar and pollen, feed the brood and guard the entrance. In summer a worker lives for "
    "a few weeks only, in winter for several months.",
    "Honey bees are kept in hives with movable frames. The keeper takes the frames out, removes the wax that "
    "covers the cells, and lets the honey run off in an extractor. Enough of it must be left in the hive for "
    "the bees to live on until the flowers of spring.",
)


def typo(text: str) -> str:
    """Two neighbours of the middle exchanged."""
    at = next(at for at in range(len(text) // 2, len(text)) if text[at] != text[at + 1])
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def changed_word(text: str) -> str:
    words = text.split(" ")
    words[len(words) // 3] = "altogether"
    return " ".join(words)


def changed_character(text: str) -> str:
    return text[:20] + "们" + text[21:]


def dots_removed(text: str) -> str:
    return text.upper().replace(". ", " ").rstrip(".")


def longer(text: str) -> str:
    return text + " (end)"


@pytest.mark.parametrize("words", [30, 60, 120, 250])
@pytest.mark.parametrize("edit", [typo, changed_word, dots_removed, longer])
def test_english_copies_with_small_edits_are_found(words: int, edit: Callable[[str], str]) -> None:
    text = english(words)
    copy = edit(text)
    assert normalise(copy) != normalise(text)
    assert found([*BEES, text, copy], [3]) == {(3, 4)}
    result = pairs([text], [*BEES, copy])
    assert (result.left.tolist(), result.right.tolist()) == ([0], [3])
    assert result.similarity[0] == np.float32(jaccard(text, copy))


@pytest.mark.parametrize("edit", [typo, changed_character, longer])
def test_chinese_copies_with_small_edits_are_found(edit: Callable[[str], str]) -> None:
    assert found([CHINESE_OF_THE_SAME_TOPIC, CHINESE, edit(CHINESE)], [1]) == {(1, 2)}


def test_different_documents_of_one_topic_are_left_alone() -> None:
    texts = [*BEES, CHINESE, CHINESE_OF_THE_SAME_TOPIC]
    assert found(texts, list(range(len(texts)))) == set()


def test_an_extract_of_half_the_text_is_another_document() -> None:
    assert found([english(120), english(60)], [0, 1]) == set()


def test_the_similarity_by_hand() -> None:
    # "abcdefgh": abcde bcdef cdefg defgh; "abcdefgx": three of them and defgx. 3 / 5.
    values = similarities(
        ["abcdefgh", "abcdefgx", "abc", "ab", "", "aaaaaa", "aaaaaaaa"],
        *np.array(
            [
                [0, 0, 2, 2, 4, 4, 5],
                [1, 0, 2, 3, 4, 0, 6],
            ]
        ),
    )
    # A short text is one shingle; an empty one is like nothing; repeated shingles count once.
    assert values.tolist() == [3 / 5, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0]


@given(st.lists(st.text("abc \U0001f600é", max_size=12), min_size=1, max_size=6), st.data())
def test_similarities_are_those_of_the_sets(texts: list[str], data: st.DataObject) -> None:
    normalised = [normalise(text) for text in texts]
    place = st.integers(0, len(texts) - 1)
    left, right = (np.array(data.draw(st.lists(place, min_size=4, max_size=4))) for _ in range(2))
    expected = [jaccard(texts[one], texts[other]) for one, other in zip(left, right, strict=True)]
    assert similarities(normalised, left, right).tolist() == expected


def synthetic(rng: random.Random, count: int, words: tuple[int, int]) -> list[str]:
    """Families of texts: each an original, and copies with more and more words changed."""
    vocabulary = ["".join(rng.choices("aeioulmnrst", k=rng.randint(2, 9))) for _ in range(3000)]
    texts = []
    for _ in range(count):
        original = rng.choices(vocabulary, k=rng.randint(*words))
        for share in (0, 0.02, 0.05, 0.1, 0.2):
            copy = [rng.choice(vocabulary) if rng.random() < share else word for word in original]
            texts.append(" ".join(copy))
        texts.append(" ".join(original) + "x")
    return texts


@pytest.mark.parametrize("words", [(3, 12), (15, 40), (80, 200)])
@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_all_pairs_that_brute_force_finds_are_found(words: tuple[int, int], threshold: float) -> None:
    texts = synthetic(random.Random(words[0]), 40, words)
    sets = [shingles(text) for text in texts]
    positives = list(range(0, len(texts), 6))
    expected = {
        (left, right)
        for left in positives
        for right in range(len(texts))
        if len(sets[left] & sets[right]) / len(sets[left] | sets[right]) >= threshold
        and normalise(texts[left]) != normalise(texts[right])
    }
    assert found(texts, positives, threshold) == expected
    assert len(expected) >= 20
    result = pairs([texts[place] for place in positives], texts, threshold)
    by_set = zip(result.left.tolist(), result.right.tolist(), strict=True)
    twins = {
        (left, right)
        for left in positives
        for right in range(len(texts))
        if normalise(texts[left]) == normalise(texts[right])
    }
    assert {(positives[left], right) for left, right in by_set} == expected | twins


def test_portions_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = synthetic(random.Random(5), 12, (15, 40))
    whole = found(texts, list(range(len(texts))))
    all_pairs = pairs(texts, texts)
    assert len(whole) > 20
    for name, value in (
        ("near_duplicate._PLACES", 100),
        ("near_duplicate.CHARACTERS", 500),
        ("similar_texts._INDEXED", 7),
        ("similar_texts.CHARACTERS", 500),
        ("portions.CHARACTERS", 900),
        ("portions._ROWS", 5),
        ("minhash._MOST_PAIRS", 3),
        ("minhash._MOST_COMPARED", 2),
    ):
        monkeypatch.setattr(f"hardneg.guard.{name}", value)
    assert found(texts, list(range(len(texts)))) == whole
    again = pairs(texts, texts)
    for column in ("left", "right", "similarity"):
        assert getattr(again, column).tolist() == getattr(all_pairs, column).tolist()


def test_boilerplate_does_not_hide_a_copy() -> None:
    """Three hundred texts of one template share most bands; each is looked at."""
    template = "The holder of licence {} must report every year to the office named in annex {}. "
    texts = [template.format(number * 7919, number) + f"{number:05d} " * 30 for number in range(300)]
    copy = typo(texts[42])
    assert found([*texts, copy], [42]) == {(42, 300)}


def test_a_phrase_that_all_share_makes_no_candidates_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hundred short texts, a quarter of each the same: few of the 160,000 pairs are even sketched."""
    from hardneg.guard import minhash

    rng = random.Random(3)
    letters = [chr(0x4E00 + number) for number in range(2000)]
    texts = ["中华人民共和国法律" + "".join(rng.choices(letters, k=30)) for _ in range(400)]
    compared = []
    plausible = minhash.plausible

    def counting(left: Any, here: Any, right: Any, there: Any, threshold: float) -> Any:
        compared.append(len(here))
        return plausible(left, here, right, there, threshold)

    monkeypatch.setattr(minhash, "plausible", counting)
    assert len(pairs(texts, texts).left) == 400
    assert 400 <= sum(compared) < 0.1 * 400 * 400  # every text meets itself


def test_the_work_grows_with_the_candidates_not_with_the_texts_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand sheets of one template, each query with its positive and ten of the others."""
    from hardneg.guard import near_duplicate

    template = (
        "This article is sold by our shop and sent within three working days of the order. Returns are free "
        "of charge for thirty days. Its number is {}."
    )
    texts = [template.format(1000 + number) for number in range(2000)]
    queries = np.arange(500, dtype=np.int32)
    known = Pairs.from_rows(queries, queries, 500)
    doc = (queries[:, None] + np.arange(11, dtype=np.int32)) % 2000
    verified = []
    reaching = near_duplicate.reaching

    def counting(texts: Any, left: Any, right: Any, threshold: float) -> Any:
        verified.append(len(left))
        return reaching(texts, left, right, threshold)

    monkeypatch.setattr(near_duplicate, "reaching", counting)
    excluded = rule(texts, known).exclude(block_of(queries, doc, known))
    assert excluded[:, 1:].all()
    assert not excluded[:, 0].any()  # the positive has a rule of its own
    assert sum(verified) == 500 * 10


def test_twins_of_the_copies_are_found_with_them() -> None:
    texts = [english(60)] * 100 + [typo(english(60))] * 100
    expected = {(50, doc) for doc in range(100, 200)} | {(150, doc) for doc in range(100)}
    assert found(texts, [50, 150]) == expected


def test_the_order_of_rows_changes_nothing() -> None:
    texts = synthetic(random.Random(9), 10, (10, 30))
    order = list(range(len(texts)))
    random.Random(1).shuffle(order)
    shuffled = [texts[place] for place in order]

    def by_text(texts: list[str]) -> set[tuple[str, str]]:
        return {(texts[one], texts[other]) for one, other in found(texts, list(range(len(texts))))}

    assert by_text(shuffled) == by_text(texts) != set()


def test_nothing_to_find() -> None:
    assert found(["a b c d e", ""], []) == set()
    assert found(["", " ", "abc"], [0, 1, 2]) == set()
    assert found(["a b c d e f g h"], [0]) == set()


@pytest.mark.parametrize("threshold", [0.05, 0.5, 1.0])
def test_low_and_high_thresholds(threshold: float) -> None:
    texts = [english(60), typo(english(60)), english(60).upper(), *BEES]
    expected = {(0, doc) for doc in range(1, len(texts)) if 1 > jaccard(texts[0], texts[doc]) >= threshold}
    assert found(texts, [0], threshold) == expected


def test_the_chance_to_miss_a_pair_is_as_stated() -> None:
    assert [rows_per_band(threshold) for threshold in (0.05, 0.4, 0.8, 0.9, 1.0)] == [1, 2, 4, 8, 16]
    # 32 bands of 4 buckets at similarity 0.8 and 0.85: the figures of the module's docstring.
    assert pytest.approx(4.8e-8, rel=0.05) == (1 - 0.8**4) ** 32
    assert (1 - 0.85**4) ** 32 < 1e-10


def test_sketches_are_stored_and_read_back(tmp_path: Path) -> None:
    corpus = table([english(60), typo(english(60))]).add_column(
        0, "title", pa.array(["", "A title"], pa.large_string())
    )
    for join_title in (True, False):
        Sketches.write(corpus, tmp_path, "mark", join_title, Silent())
        assert Sketches.written(tmp_path)
        again, made = Sketches.open(tmp_path, "mark"), Sketches.of(corpus, join_title)
        assert np.array_equal(again.first, made.first)
        assert np.array_equal(again.whole, made.whole)
    with pytest.raises(StoreError, match=r"sketches-first\.npy: is not the file that was written here"):
        Sketches.open(tmp_path, "mark of another corpus")
    (tmp_path / "sketches.npy").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"sketches\.npy: cannot be read"):
        Sketches.open(tmp_path, "mark")
