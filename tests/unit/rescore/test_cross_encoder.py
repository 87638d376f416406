"""The scorer gives what the model gives, as logit or probability, and refuses what is no cross-encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from hardneg.config import RescoreConfig
from hardneg.errors import ModelError
from hardneg.rescore import CrossEncoderScorer, cross_encoder

Maker = Callable[..., Path]
load = cross_encoder._load

PAIRS = [
    ("what is bm25", "bm25 ranks documents by the words they share with a query"),
    ("what is bm25", "a cat"),
    ("who wrote it", "nobody knows who wrote the oldest of these texts"),
    ("x", "y"),
]


def test_logits_are_the_models_own(tiny_cross_encoder: Path) -> None:
    expected = CrossEncoder(str(tiny_cross_encoder), device="cpu").predict(
        PAIRS, activation_fn=torch.nn.Identity()
    )
    scores = CrossEncoderScorer(tiny_cross_encoder, device="cpu").score(PAIRS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert np.ptp(scores) > 0.01  # the model tells these pairs apart


def test_a_probability_is_the_sigmoid_of_the_logit(tiny_cross_encoder: Path) -> None:
    logits = CrossEncoderScorer(tiny_cross_encoder, device="cpu").score(PAIRS).astype(np.float64)
    config = RescoreConfig(cross_encoder_output="probability")
    probabilities = CrossEncoderScorer(tiny_cross_encoder, config, device="cpu").score(PAIRS)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_an_activation_that_the_model_declares_does_not_change_the_logit(tiny_cross_encoder: Path) -> None:
    model = CrossEncoder(str(tiny_cross_encoder), device="cpu", activation_fn=torch.nn.Tanh())
    np.testing.assert_allclose(
        CrossEncoderScorer(model).score(PAIRS),
        CrossEncoderScorer(tiny_cross_encoder, device="cpu").score(PAIRS),
        atol=1e-6,
    )


def test_order_and_batch_size_change_nothing(tiny_cross_encoder: Path) -> None:
    scores = CrossEncoderScorer(tiny_cross_encoder, device="cpu").score(PAIRS)
    for size in (1, 3):
        scorer = CrossEncoderScorer(
            tiny_cross_encoder, RescoreConfig(cross_encoder_batch_size=size), device="cpu"
        )
        np.testing.assert_allclose(scorer.score(PAIRS[::-1])[::-1], scores, atol=1e-6)


def test_the_longest_pair_is_cut_where_it_is_set(tiny_cross_encoder: Path) -> None:
    scorer = CrossEncoderScorer(tiny_cross_encoder, RescoreConfig(cross_encoder_max_length=8), device="cpu")
    # [CLS] a [SEP] and [SEP] leave four letters of the document.
    alike = scorer.score([("a", "bcdefgh"), ("a", "bcdezzz")])
    assert alike[0] == pytest.approx(alike[1], abs=1e-6)
    longer = CrossEncoderScorer(tiny_cross_encoder, device="cpu").score([("a", "bcdefgh"), ("a", "bcdezzz")])
    assert abs(longer[0] - longer[1]) > 1e-4


def test_several_labels_are_refused(make_cross_encoder: Maker) -> None:
    with pytest.raises(ModelError, match="gives 3 scores a pair"):
        CrossEncoderScorer(make_cross_encoder(num_labels=3), device="cpu")


def test_a_bi_encoder_is_refused(tmp_path: Path, tiny_cross_encoder: Path) -> None:
    """transformers would give it a head of random weights, and scores that mean nothing."""
    from transformers import AutoModel, AutoTokenizer

    AutoModel.from_pretrained(tiny_cross_encoder).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_cross_encoder).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is no cross-encoder: BertModel has no head"):
        CrossEncoderScorer(tmp_path, device="cpu")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="absent': no such folder"):
        CrossEncoderScorer(tmp_path / "absent")


def test_pickled_weights_are_not_loaded(make_cross_encoder: Maker) -> None:
    folder = make_cross_encoder()
    model = CrossEncoder(str(folder), device="cpu").model
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="pytorch_model.bin: holds pickled weights, which are never loaded"):
        CrossEncoderScorer(folder, device="cpu")


def test_not_a_number_is_refused(tiny_cross_encoder: Path) -> None:
    model = CrossEncoder(str(tiny_cross_encoder), device="cpu")
    with torch.no_grad():
        model.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="4 of them NaN or infinite"):
        CrossEncoderScorer(model).score(PAIRS)


def test_no_pairs_give_no_scores(tiny_cross_encoder: Path) -> None:
    assert CrossEncoderScorer(tiny_cross_encoder, device="cpu").score([]).shape == (0,)


def test_the_fingerprint_tells_models_and_settings_apart(
    tiny_cross_encoder: Path, make_cross_encoder: Maker
) -> None:
    def fingerprint(path: Path, **options: object) -> object:
        return CrossEncoderScorer(path, RescoreConfig(**options), device="cpu").fingerprint()  # type: ignore[arg-type]

    same = fingerprint(tiny_cross_encoder)
    assert fingerprint(make_cross_encoder(seed=0)) == same  # the same content elsewhere
    assert fingerprint(tiny_cross_encoder, cross_encoder_batch_size=7) == same
    assert fingerprint(make_cross_encoder(seed=1)) != same
    assert fingerprint(tiny_cross_encoder, cross_encoder_output="probability") != same
    assert fingerprint(tiny_cross_encoder, cross_encoder_max_length=16) != same


def test_a_model_given_as_an_object_has_a_fingerprint_of_its_content(
    tiny_cross_encoder: Path, make_cross_encoder: Maker
) -> None:
    def fingerprint(path: Path) -> object:
        return CrossEncoderScorer(CrossEncoder(str(path), device="cpu")).fingerprint()

    assert fingerprint(tiny_cross_encoder) == fingerprint(tiny_cross_encoder)
    assert fingerprint(tiny_cross_encoder) != fingerprint(make_cross_encoder(seed=1))


def test_a_folder_that_is_overwritten_while_it_is_loaded(
    make_cross_encoder: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hardneg.rescore import cross_encoder

    folder, other = make_cross_encoder(), make_cross_encoder(seed=1)
    load = cross_encoder._load

    def loads_slowly(*arguments: object) -> CrossEncoder:
        model = load(*arguments)  # type: ignore[arg-type]
        (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
        return model

    monkeypatch.setattr(cross_encoder, "_load", loads_slowly)
    with pytest.raises(ModelError, match="changed while it was loaded; run again"):
        CrossEncoderScorer(folder, device="cpu")


def test_a_folder_that_is_overwritten_in_place_after_that(make_cross_encoder: Maker) -> None:
    """The scorer is what was opened, and says so."""
    folder, other = make_cross_encoder(), make_cross_encoder(seed=1)
    scorer = CrossEncoderScorer(folder, device="cpu")
    before = scorer.score(PAIRS)
    with (folder / "model.safetensors").open("r+b") as handle:
        handle.write((other / "model.safetensors").read_bytes())
    np.testing.assert_array_equal(scorer.score(PAIRS), before)
    after = CrossEncoderScorer(folder, device="cpu")
    assert after.fingerprint() != scorer.fingerprint()
    assert not np.allclose(after.score(PAIRS), before)


def _other_activation(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_act": "relu"}))


def _other_vocabulary(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    words = tokenizer["model"]["vocab"]
    words["b"], words["w"] = words["w"], words["b"]
    path.write_text(json.dumps(tokenizer))


def _an_instruction(folder: Path) -> None:
    model = CrossEncoder(str(folder), device="cpu", prompts={"a": "judge "}, default_prompt_name="a")
    model.save_pretrained(str(folder))


@pytest.mark.parametrize("change", [_other_activation, _other_vocabulary, _an_instruction])
def test_what_the_model_declares_is_part_of_its_fingerprint(
    make_cross_encoder: Maker, change: Callable[[Path], None]
) -> None:
    folder = make_cross_encoder()
    CrossEncoder(str(folder), device="cpu").save_pretrained(str(folder))
    before = CrossEncoderScorer(folder, device="cpu")
    scores = before.score(PAIRS)
    change(folder)
    after = CrossEncoderScorer(folder, device="cpu")
    assert after.fingerprint() != before.fingerprint()
    assert not np.allclose(after.score(PAIRS), scores)


# -- a model that was opened before ---------------------------------------------------------------------


def test_a_model_that_was_opened_before_is_loaded_only_to_score(
    make_cross_encoder: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_cross_encoder(seed=3)
    first = CrossEncoderScorer(folder, device="cpu", cache=tmp_path)
    expected = first.fingerprint(), first.score(PAIRS).tolist()
    loaded = []
    monkeypatch.setattr(cross_encoder, "_load", lambda *of: (loaded.append(of), load(*of))[1])
    again = CrossEncoderScorer(folder, device="cpu", cache=tmp_path)
    assert again.fingerprint() == expected[0]
    assert not loaded
    assert again.score(PAIRS).tolist() == expected[1]
    assert len(loaded) == 1
    # Another longest pair, or other weights, is another model.
    shorter = CrossEncoderScorer(
        folder, RescoreConfig(cross_encoder_max_length=8), device="cpu", cache=tmp_path
    )
    assert shorter.fingerprint()["max_length"] == 8
    other = CrossEncoderScorer(make_cross_encoder(seed=4), device="cpu", cache=tmp_path)
    assert other.fingerprint()["model"] != expected[0]["model"]
    assert len(loaded) == 3


def test_a_model_that_is_not_what_was_remembered_is_an_error(
    make_cross_encoder: Maker, tmp_path: Path
) -> None:
    """As where a library's defaults changed: its scores must not lie under the fingerprint that was given."""
    folder = make_cross_encoder(seed=5)
    CrossEncoderScorer(folder, device="cpu", cache=tmp_path)
    again = CrossEncoderScorer(folder, device="cpu", cache=tmp_path)
    assert again._notes is not None
    again._notes.write("cross_encoder", {"max_length": 64, "dtype": "torch.bfloat16"})
    assert again.fingerprint()["dtype"] == "torch.bfloat16"
    with pytest.raises(ModelError, match="had .*bfloat16.* before and now .*float32.*; run again"):
        again.score(PAIRS)
    assert CrossEncoderScorer(folder, device="cpu", cache=tmp_path).score(PAIRS).shape == (4,)


def test_a_remembered_model_whose_files_are_other_ones_is_another(
    make_cross_encoder: Maker, tmp_path: Path
) -> None:
    folder = make_cross_encoder(seed=6)
    CrossEncoderScorer(folder, device="cpu", cache=tmp_path)
    again = CrossEncoderScorer(folder, device="cpu", cache=tmp_path)
    others = make_cross_encoder(seed=7)
    (folder / "model.safetensors").write_bytes((others / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="changed while it was loaded; run again"):
        again.score(PAIRS)
