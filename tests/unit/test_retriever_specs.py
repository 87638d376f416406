"""How retrievers are written and named."""

from __future__ import annotations

import pytest

from hardneg.config import EncodeConfig
from hardneg.errors import UsageError
from hardneg.retriever_specs import RetrieverSpec, encode_config_of, parse_retrievers


@pytest.mark.parametrize(
    ("text", "name", "kind", "target"),
    [
        ("dense", "dense", "dense", ""),
        ("dense:BAAI/bge-base-en-v1.5", "dense:bge-base-en-v1.5", "dense", "BAAI/bge-base-en-v1.5"),
        ("bge=dense:BAAI/bge-base-en-v1.5", "bge", "dense", "BAAI/bge-base-en-v1.5"),
        ("bm25", "bm25", "bm25", ""),
        ("run:/data/a=b.trec", "run:a=b.trec", "run", "/data/a=b.trec"),
        ("vectors:C:/vectors", "vectors:vectors", "vectors", "C:/vectors"),
    ],
)
def test_a_spec_has_a_name_a_kind_and_a_target(text: str, name: str, kind: str, target: str) -> None:
    assert RetrieverSpec.parse(text) == RetrieverSpec(name, kind, target)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["dens"], "did you mean 'dense'"),
        (["run"], "write run:PATH"),
        (["bm25:x"], "takes nothing behind it"),
        (["dense", "dense"], "two retrievers are called 'dense'"),
        ([], "no retriever"),
        (["cross_encoder=bm25"], "choose another NAME"),
    ],
)
def test_a_spec_that_cannot_be_read_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_retrievers(texts)


def test_a_prompt_of_one_retriever_wins_over_that_for_all() -> None:
    specs = parse_retrievers(["a=dense:x", "dense:y"])
    config = EncodeConfig(query_prompt="all: ", prompt=("a:query=only a: ", "dense:y:document=doc=: "))
    assert encode_config_of(specs[0], config, specs).query_prompt == "only a: "
    assert encode_config_of(specs[1], config, specs).query_prompt == "all: "
    assert encode_config_of(specs[1], config, specs).document_prompt == "doc=: "
    with pytest.raises(UsageError, match="NAME one of a, dense:y"):
        encode_config_of(specs[0], EncodeConfig(prompt=("b:query=x",)), specs)
