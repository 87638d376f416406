"""Words for lexical search, in any language, without a dictionary.

Texts are brought to Unicode NFKC and case folded. Runs of letters, digits and their combining marks are
words; accents stay, since they tell words apart (`schon`, `schön`). Scripts written without spaces (Han,
kana, Thai, Lao, Khmer, Burmese) become overlapping pairs of characters, as Lucene's CJKAnalyzer does it; so
does Hangul, whose words carry their particles (학교에, 학교는: the pair 학교 is in both). A run of one
character is a word of its own. There are no stop words and no stemming: BM25 weighs common words down.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from operator import add

RULES: tuple[int | str, ...] = (1, unicodedata.unidata_version)
"""Of what comes out: another number or another Unicode table means that other words may."""
_PAIRED = (
    "\u3005-\u3007"  # 々〆〇
    "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"  # Han
    "\u3041-\u3096\u3099\u309a\u309d-\u309f"  # Hiragana
    "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\U0001b000-\U0001b16f"  # Katakana
    "\u3105-\u312f\u31a0-\u31bf"  # Bopomofo
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1780-\u17d3\u1000-\u103f\u1050-\u108f"  # Thai to Burmese
)
_IN_PAIRS = re.compile(f"[{_PAIRED}]")
_PLAIN_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text in their order, repeats kept."""
    if text.isascii():
        return _PLAIN_WORD.findall(text.lower())
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if not _IN_PAIRS.search(text):
        return _word_with_marks().findall(text)
    found: list[str] = []
    for paired, word in _pairs_or_word().findall(text):
        if len(paired) > 1:
            found.extend(map(add, paired, paired[1:]))
        else:
            found.append(paired or word)
    return found


@lru_cache(1)
def _word_with_marks() -> re.Pattern[str]:
    return re.compile(rf"[^\W_](?:[^\W_]|[{_combining_marks()}])*")


@lru_cache(1)
def _pairs_or_word() -> re.Pattern[str]:
    other = rf"(?![{_PAIRED}])[^\W_]"
    return re.compile(rf"([{_PAIRED}]+)|({other}(?:{other}|(?![{_PAIRED}])[{_combining_marks()}])*)")


@lru_cache(1)
def _combining_marks() -> str:
    """Marks that belong to the letter before them, which Python's `\\w` leaves out (Hindi vowels, say)."""
    marks = [c for c in map(chr, range(0x300, 0x20000)) if unicodedata.category(c) in ("Mn", "Mc")]
    return "".join(re.escape(c) for c in marks)
