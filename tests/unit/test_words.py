"""Words of many scripts."""

from __future__ import annotations

import unicodedata

import pytest

from hardneg.words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The p53 gene, 0-dimensional!", ["the", "p53", "gene", "0", "dimensional"]),
        ("snake_case x", ["snake", "case", "x"]),
        ("Straße ÜBER L'été", ["strasse", "über", "l", "été"]),
        ("Ελλάδα Привет", ["ελλάδα", "привет"]),
        ("中华人民", ["中华", "华人", "人民"]),
        ("猫", ["猫"]),
        ("東京タワーに行く。", ["東京", "京タ", "タワ", "ワー", "ーに", "に行", "行く"]),
        ("BERT模型的微调v2", ["bert", "模型", "型的", "的微", "微调", "v2"]),
        ("학교에 갔다", ["학교", "교에", "갔다"]),
        ("ไทย", ["ไท", "ทย"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("كِتَاب", ["كِتَاب"]),
        ("ﾊﾝｶｸ　Ａｂｃ", ["ハン", "ンカ", "カク", "abc"]),  # half-width kana, full-width Latin
        ("ア・イ", ["ア", "イ"]),
        ("... --- 。、", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_composed_and_decomposed_letters_are_the_same_word() -> None:
    for text in ("Café naïve", "が行", "학교", "ĠỆ"):
        assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text))


def test_accents_tell_words_apart() -> None:
    assert words("schon") != words("schön")


def test_korean_words_with_other_particles_share_their_stem() -> None:
    assert set(words("학교에")) & set(words("학교는")) == {"학교"}
