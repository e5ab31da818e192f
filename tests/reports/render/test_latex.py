import re

from hypothesis import given
from hypothesis import strategies as st

from foolscope.reports import latex_tables, render_latex
from foolscope.reports.document import Cell, Column, Document, Mono, Reference, Table
from foolscope.reports.render.latex import escape_latex
from foolscope.reports.text import one_line_text

SPECIAL = {
    r"\textbackslash{}": "\\",
    r"\textasciicircum{}": "^",
    r"\textasciitilde{}": "~",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textquotedbl{}": '"',
    r"\textasciigrave{}": "`",
    "{[}": "[",
    "{]}": "]",
    **{"\\" + character: character for character in "{}$&#%_"},
}
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(ASCII)
def test_escapes_can_be_read_back(text):
    pattern = "|".join(re.escape(key) for key in sorted(SPECIAL, key=len, reverse=True))
    assert re.sub(pattern, lambda match: SPECIAL[match[0]], escape_latex(text)) == one_line_text(text)


@given(ASCII)
def test_no_special_character_is_left_bare(text):
    escaped = escape_latex(text)
    for command in sorted(SPECIAL, key=len, reverse=True):
        escaped = escaped.replace(command, "")
    assert not re.search(r"[\\{}$&#%_^~<>|\"`\[\]]", escaped)


@given(ASCII)
def test_a_table_keeps_its_shape_whatever_it_says(text):
    source = render_latex(
        Document("t", "q", lead=[Table([text, "b"], [(text, Cell(text))] * 2, "c" + text, note=text)])
    )
    rows = [line for line in source.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [1, 1, 1]
    bare = source.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")


def test_a_table_in_the_booktabs_style():
    table = Table(
        ["setting", Column("accuracy", format=".3f")],
        [("learning_rate", Cell(0.95, emphasis=True)), ("−5 %", None)],
        ("All runs of ", Mono("mlp"), ", see ", Reference("runs"), "."),
        key="runs",
    )
    (source,) = latex_tables(Document("t", "q", lead=[table])).values()
    assert source.splitlines() == [
        r"\begin{table}",
        r"  \centering",
        r"  \caption{All runs of \texttt{mlp}, see Table~\ref{tab:runs}.}",
        r"  \label{tab:runs}",
        r"  \begin{tabular}{lr}",
        r"    \toprule",
        r"    setting & accuracy \\",
        r"    \midrule",
        r"    learning\_rate & \textbf{0.950} \\",
        r"    \ensuremath{-}5 \% & -- \\",
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]


def test_every_table_of_a_report_is_in_the_file(demo):
    tables = latex_tables(demo)
    assert list(tables) == ["effects", "table-2", "table-3"]
    assert all(source in render_latex(demo) for source in tables.values())
