"""Attacks in the store: written, read, and resumed after an interruption."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from foolscope.attacks import MaskingCheck
from foolscope.attacks.evaluation import stages
from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.attacks import stored
from foolscope.experiments.parts.attacks.plans import attack_from
from foolscope.experiments.parts.attacks.stored import StoredAttack, attack_subject
from foolscope.experiments.running.store import Store
from foolscope.experiments.subjects.subject import Subject


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept and taken up does not depend on how long the attacks are."""
    monkeypatch.setitem(stages._PATIENCE, "l1", 1)


@pytest.fixture
def subject() -> Subject:
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)
    )
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    images = torch.rand(12, 1, 4, 4, generator=generator)
    labels = model(images).argmax(1)
    return Subject("net", {"model": "net"}, "net 1", model.eval(), images, labels, tuple("abcd"))


def evaluated(subject: Subject, folder: Path, **settings: object) -> StoredAttack:
    return attack_subject(subject, "l1", [0.5], store=Store(folder), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("stop", [1, 2])
def test_stopped_and_taken_up_it_ends_as_if_undisturbed(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(stored, "_SAVED_EVERY_SECONDS", 0.0)
    everything: list[str] = []
    whole = evaluated(
        subject, tmp_path / "whole", progress=lambda stage, done, left: everything.append(stage)
    )
    calls = 0

    def stopping(stage: str, done: float, left: int) -> None:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluated(subject, tmp_path / "again", progress=stopping)
    (partial,) = (tmp_path / "again").rglob("partial.safetensors")
    after: list[str] = []
    again = evaluated(subject, tmp_path / "again", progress=lambda stage, done, left: after.append(stage))
    assert not partial.exists()
    for name in ("images.jsonl", "attack.json", "curve.safetensors"):
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert len(after) == len(everything) - stop  # nothing was done twice


def test_what_was_evaluated_is_read_with_its_checks(subject: Subject, tmp_path: Path) -> None:
    first, second = (evaluated(subject, tmp_path) for _ in range(2))
    assert (first.was_stored, second.was_stored) == (False, True)
    assert second.curve.checks == first.curve.checks
    assert torch.equal(second.curve.adversarial_logits, first.curve.adversarial_logits)
    document = json.loads((first.folder / "attack.json").read_text())
    assert document["determinants"]["evaluation"] == "full"
    assert sum(document["robust_accuracy"][0]["fooled_by"].values()) == int(
        first.curve.smallest_found.isfinite().sum()
    )


def test_a_damaged_partial_file_is_begun_again(subject: Subject, tmp_path: Path) -> None:
    whole = evaluated(subject, tmp_path / "whole")
    folder = tmp_path / "again" / whole.folder.relative_to(tmp_path / "whole")
    folder.mkdir(parents=True)
    (folder / "partial.safetensors").write_bytes(b"torn")
    again = evaluated(subject, tmp_path / "again")
    assert (again.folder / "images.jsonl").read_bytes() == (whole.folder / "images.jsonl").read_bytes()


def test_one_that_ran_out_of_time_is_no_result(subject: Subject, tmp_path: Path) -> None:
    late = evaluated(subject, tmp_path, time_budget_seconds=1e-9)
    assert late.curve.unfinished == 12
    assert not (late.folder / "attack.json").exists()
    assert not evaluated(subject, tmp_path).was_stored
    assert evaluated(subject, tmp_path).was_stored


def test_budgets_may_be_text_and_in_any_order(subject: Subject, tmp_path: Path) -> None:
    store, attacks = Store(tmp_path), [attack_from({"name": "fgsm"})]
    first = attack_subject(subject, "linf", [0, 8 / 255], attacks, store=store)
    again = attack_subject(subject, "linf", ["8/255", 0.0, "8/255"], attacks, store=store)
    assert (first.was_stored, again.was_stored) == (False, True)
    assert again.folder == first.folder
    assert again.curve.epsilons == (0.0, 8 / 255)


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "l2"},
        {"epsilons": [0.1, 0.2]},
        {"attacks": [attack_from({"name": "pgd", "steps": 2})]},
        {"attacks": [attack_from({"name": "fgsm"})] * 2},
        {"attacks": ()},
        {"seed": 1},
        {"images": 11},
        {"identity": "net 2"},
    ],
)
def test_what_determines_the_result_is_part_of_its_identity(
    subject: Subject, tmp_path: Path, changes: dict[str, Any]
) -> None:
    def attacked(**given: Any) -> StoredAttack:
        count, identity = given.pop("images", 12), given.pop("identity", subject.identity)
        chosen = replace(
            subject, identity=identity, images=subject.images[:count], labels=subject.labels[:count]
        )
        settings = {"norm": "linf", "epsilons": [0.1], "attacks": [attack_from({"name": "fgsm"})], **given}
        return attack_subject(chosen, store=Store(tmp_path), **settings)

    first = attacked()
    assert not attacked(**changes).was_stored
    assert attacked().was_stored
    assert attacked(seed=subject.seed).folder == first.folder


def test_settings_of_the_full_evaluation_do_not_go_with_attacks_by_name(
    subject: Subject, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="full evaluation"):
        attack_subject(
            subject, "linf", [0.1], [attack_from({"name": "fgsm"})], store=Store(tmp_path), levels=255
        )
    with pytest.raises(RecipeError, match="the model itself"):
        attack_subject(subject, "linf", [0.1], store=Store(tmp_path), surrogate=subject)


def test_a_check_that_is_not_finite_is_stored_and_read(subject: Subject, tmp_path: Path) -> None:
    check = MaskingCheck(name="odd", fired=True, sentence="Infinite.", value=float("inf"))
    whole = evaluated(subject, tmp_path)
    curve = replace(whole.curve, checks=(check,))
    stored._write(whole.folder, curve, {}, subject)
    again = stored._read(whole.folder, torch.device("cpu"))
    assert again is not None
    assert again.checks == (check,)
    assert check.value is None
