"""docs/corruptions.md lists the corruptions and parameters that there are."""

from pathlib import Path

from corruption_rows import overview_rows, parameter_rows

DOCUMENT = Path(__file__).parents[2] / "docs" / "corruptions.md"


def test_the_document_has_every_corruption_with_its_parameters():
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    assert [row for row in (*overview_rows(), *parameter_rows()) if row not in lines] == []
