"""The page about models lists every model with its size."""

import re
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from foolscope.learning.packs.packing import solo_reason
from foolscope.models import MODELS, build_model

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
ROW = re.compile(
    r"^\| `(?P<name>[a-z0-9-]+)` \|.*\| (?P<parameters>[\d,]+) "
    r"\| (?P<millions>[\d.,]+) M \| (?P<packs>yes|no) \|$",
    re.M,
)
LARGE = {"resnet34", "resnet50"}  # they take seconds to build; tests of the models count their parameters


def test_every_model_is_listed_with_its_size():
    rows = {row["name"]: row for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))}
    assert rows.keys() == MODELS.keys()
    for name in MODELS.keys() - LARGE:
        model = build_model(
            MODELS[name].settings.model_validate({"normalization": "half"}), (3, 32, 32), 10, seed=0
        )
        parameters = sum(parameter.numel() for parameter in model.parameters())
        assert rows[name]["parameters"] == f"{parameters:,}", name
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.eval()(torch.zeros(1, 3, 32, 32))
        millions = counter.get_total_flops() / 2e6
        shown = rows[name]["millions"].replace(",", "")
        assert f"{millions:.{len(shown.partition('.')[2])}f}" == shown, name
        assert (rows[name]["packs"] == "yes") == (solo_reason(model) is None), name
