"""Queries that are nearly the same, against all pairs compared."""

from __future__ import annotations

import random
from itertools import combinations

from hardneg.guard.alike_queries import alike_queries, like_any
from hardneg.texts import normalise


def listed(texts: list[str], threshold: float = 0.8) -> list[tuple[int, int]]:
    left, right = alike_queries(texts, threshold)
    return sorted((min(pair), max(pair)) for pair in zip(left.tolist(), right.tolist(), strict=True))


def shingles(text: str) -> set[str]:
    text = normalise(text)
    return {text[place : place + 3] for place in range(max(1, len(text) - 2))} if text else set()


def plain(texts: list[str], threshold: float) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    found = []
    for row, text in enumerate(texts):
        if normalise(text) in first:
            found.append((first[normalise(text)], row))
        else:
            first[normalise(text)] = row
    for one, other in combinations(sorted(first), 2):
        a, b = shingles(one), shingles(other)
        if a and b and len(a & b) / len(a | b) >= threshold:
            found.append((min(first[one], first[other]), max(first[one], first[other])))
    return sorted(found)


def test_form_case_and_spacing_make_no_difference() -> None:
    texts = ["How do I sort a list?", "fine", "  how do I  SORT a list?", "ﬁne", "how do i sort a list?"]
    assert listed(texts) == [(0, 2), (0, 4), (1, 3)]


def test_a_changed_letter_in_a_long_query_is_alike() -> None:
    asked = "how can i sort a list of dictionaries by a value"
    assert listed([asked, "something else", asked.replace("can", "cab")]) == [(0, 2)]
    # 3 of 8 shingles of each are shared: 3 / (8 + 8 - 3).
    assert listed(["sort a dog", "sort a list"[:10]], 5 / 11) == [(0, 1)]
    assert listed(["sort a dog", "sort a list"[:10]], 5 / 11 + 1e-9) == []


def test_the_first_of_each_text_stands_for_it() -> None:
    asked, typo = "what is the capital of the french republic", "what is the capital of the french republik"
    assert listed([asked, typo, asked.upper(), typo]) == [(0, 1), (0, 2), (1, 3)]


def test_none_empty_and_short_texts() -> None:
    assert listed([]) == listed(["one"]) == listed(["", "a", "b", "ab"]) == []
    assert listed(["", " ", "a", "A"]) == [(0, 1), (2, 3)]
    left, right = alike_queries([])
    assert left.dtype == right.dtype == "int32"


def drawn(draws: random.Random) -> list[str]:
    """Texts, some with a letter changed or in capitals."""
    letters = "abcd "
    texts = ["".join(draws.choices(letters, k=draws.choice([2, 12, 40, 60]))) for _ in range(60)]
    for text in texts[:40]:
        place = draws.randrange(len(text))
        texts.append(text[:place] + draws.choice(letters) + text[place + 1 :])
        texts.append(text.upper() + " ")
    draws.shuffle(texts)
    return texts


def test_they_are_those_of_all_pairs_compared() -> None:
    draws = random.Random(1)
    texts = drawn(draws)
    found = listed(texts, 0.8)
    assert len(found) > 40
    assert found == plain(texts, 0.8)
    assert len(set(found)) == len(found)
    assert all(left != right for left, right in found)


def test_what_is_like_any_other_is_so_by_text_or_by_likeness_to_one_itself() -> None:
    texts = drawn(random.Random(2))
    asked, others = texts[:70], texts[70:]

    def alike(one: str, other: str) -> bool:
        a, b = shingles(one), shingles(other)
        return normalise(one) == normalise(other) or bool(a and b and len(a & b) / len(a | b) >= 0.8)

    found = like_any(asked, others).tolist()
    assert found == [any(alike(one, other) for other in others) for one in asked]
    assert 10 < sum(found) < 60


def test_none_is_like_nothing_nor_like_what_is_like_its_like() -> None:
    chain = ["abcdefghijklmnopqrst", "abcdefghijklmnopqrstuv", "abcdefghijklmnopqrstuvwx"]
    assert like_any(chain[:1], chain[1:2]) and like_any(chain[1:2], chain[2:])
    assert like_any([chain[0], chain[0]], [chain[2]], 0.85).tolist() == [False, False]
    assert like_any([], chain).tolist() == [] and like_any(chain, []).tolist() == [False] * 3
