"""Facts that are written in more than one place agree."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [*PROJECT["dependencies"], *EXTRAS["dev"], *EXTRAS["peers"], *EXTRAS["graphviz"]]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def canonical(requirement):
    """The name alone, as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def test_versions_agree():
    assert f"\nversion: {PROJECT['version']}\n" in read("CITATION.cff")
    assert f"\n## [{PROJECT['version']}]" in read("CHANGELOG.md")


def test_licenses_agree():
    assert f"\nlicense: {PROJECT['license']}\n" in read("CITATION.cff")
    assert "Apache License" in read("LICENSE")


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_dependency_is_pinned_and_justified(requirement):
    pinned = [canonical(line) for line in read("constraints.txt").splitlines() if "==" in line]
    justified = [
        canonical(name)
        for name in re.findall(r"^\| `([^`]+)` \|", read("docs/dependencies.md"), re.MULTILINE)
    ]
    assert pinned.count(canonical(requirement)) == 1
    assert justified.count(canonical(requirement)) == 1


def test_no_justification_outlives_its_dependency():
    justified = re.findall(r"^\| `([^`]+)` \|", read("docs/dependencies.md"), re.MULTILINE)
    assert {canonical(name) for name in justified} == {canonical(requirement) for requirement in REQUIREMENTS}


def test_every_pin_is_exact():
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
