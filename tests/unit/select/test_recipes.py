"""Recipes: known settings, a source each, and the worked example."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hardneg.config import Config
from hardneg.errors import UsageError
from hardneg.recipes import RECIPES, recipe_settings, render_recipes


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_is_a_configuration_with_a_source(name: str) -> None:
    config = Config.from_flat(recipe_settings(name)).select
    assert RECIPES[name].source and RECIPES[name].sentence
    assert Config.from_flat(Config(select=config).flat()).select == config
    assert f"{name}\n" in render_recipes()


def test_what_the_recipes_are() -> None:
    bge, nv, simans, shifted = (
        Config.from_flat(recipe_settings(n)).select for n in ("bge", "nv-retriever", "simans", "shifted")
    )
    assert (bge.window, bge.sampler, bge.num_negatives, bge.relative_margin) == (
        (10, 210),
        "random",
        15,
        None,
    )
    assert (nv.window, nv.sampler, nv.num_negatives, nv.relative_margin) == (None, "top", 4, 0.05)
    assert (simans.sampler, simans.simans_a, simans.simans_b, simans.relative_margin) == (
        "simans",
        1,
        0,
        None,
    )
    assert (shifted.window, shifted.sampler, shifted.num_negatives) == ((5, None), "top", "all")
    assert shifted.relative_margin is shifted.margin is None


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'nv-retriever'"):
        recipe_settings("nv-retriver")


def test_a_recipe_is_given_out_as_a_copy() -> None:
    recipe_settings("bge")["window"] = "0:1"
    assert recipe_settings("bge")["window"] == "10:210"


def test_the_worked_example(select: SimpleNamespace) -> None:
    """Ranks 1 to 15, the positive at 8: skip five, drop the positive, keep the rest in order."""
    ranking = {doc: 1 - doc / 100 for doc in range(1, 16)}
    settings = Config.from_flat(recipe_settings("shifted")).select.model_dump()
    found = select.choose([{"run": ranking}], [{8: ranking[8]}], **settings)
    assert select.chosen(found) == [6, 7, 9, 10, 11, 12, 13, 14, 15]
