"""The reference pages say what the code says."""

import subprocess
import sys
import tomllib
from pathlib import Path

from claim_checks import refuse_wrong_claims
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser

from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.study_file import study_from

ROOT = Path(__file__).parents[2]


def toml_blocks(name):
    parser = CodeBlockParser("toml", lambda block: None)
    return [str(block.parsed) for block in Sybil(parsers=[parser]).parse(ROOT / "docs" / name).examples()]


def test_the_recipe_page_is_what_the_script_writes():
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_reference", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_recipe_page_shows_a_recipe():
    (block,) = toml_blocks("recipe.md")
    assert recipe_from(tomllib.loads(block)).optimizer.momentum == 0.9


def test_the_blocks_of_the_study_page_make_one_study():
    study = study_from(tomllib.loads("\n".join(toml_blocks("study-file.md"))))
    assert study.recipes["wide"].model.hidden == (256,)
    assert study.recipes["wide"].training.batch_size == 32
    kinds = [claim.kind for claim in study.claims]
    assert kinds == ["comparison", "trend", "value", "curve", "curve", "value", "value", "comparison"]
    refuse_wrong_claims(study)
