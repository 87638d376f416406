"""What the cards of well-known models say to put before a text, for those that declare no prompts.

Told by the last part of the model's name. Where a family stands here without prompts its card asks for none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PASSAGES = "Represent this sentence for searching relevant passages: "
_WEB_SEARCH = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "


@dataclass(frozen=True)
class Family:
    """Models that share prompts. `pattern` matches the whole lower-case name after the last slash."""

    name: str
    pattern: str
    query: str = ""
    document: str = ""


FAMILIES = (
    Family("BGE-M3", r"bge-m3.*"),
    Family("BGE English", r"bge-(small|base|large)-en(-v1\.5)?", query=_PASSAGES),
    Family(
        "BGE Chinese", r"bge-(small|base|large)-zh(-v1\.5)?", query="为这个句子生成表示以用于检索相关文章："
    ),
    Family("multilingual E5 instruct", r"multilingual-e5-large-instruct", query=_WEB_SEARCH),
    Family("E5 Mistral", r"e5-mistral-7b-instruct", query=_WEB_SEARCH),
    Family(
        "E5",
        r"(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?",
        query="query: ",
        document="passage: ",
    ),
    Family("GTE", r"gte-(small|base|large|multilingual-base|modernbert-base)|gte-(base|large)-en-v1\.5"),
    Family(
        "nomic-embed",
        r"nomic-embed-text-v(1|1\.5|2-moe)|modernbert-embed-(base|large)",
        query="search_query: ",
        document="search_document: ",
    ),
    Family("Arctic-embed 2", r"snowflake-arctic-embed-[ml]-v2\.0", query="query: "),
    Family("Arctic-embed", r"snowflake-arctic-embed-(xs|s|m|l|m-long|m-v1\.5)", query=_PASSAGES),
    Family("mxbai-embed", r"mxbai-embed-large-v1", query=_PASSAGES),
    Family("UAE", r"uae-large-v1", query=_PASSAGES),
)


def family_of(model: str) -> Family | None:
    """The family that this model's name or path tells, if any."""
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1].lower()
    return next((family for family in FAMILIES if re.fullmatch(family.pattern, last)), None)
