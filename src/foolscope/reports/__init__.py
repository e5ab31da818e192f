"""Stored results as figures, one document model, and its renderers: HTML, Markdown, LaTeX, terminal.

matplotlib, jinja2 and pillow are imported when the first figure, page or picture is made; torch never is.
"""

from foolscope.reports.document import (
    Bullets,
    Cell,
    Code,
    Column,
    Details,
    Document,
    Figure,
    Gallery,
    Mono,
    Notice,
    Panel,
    Paragraph,
    Reference,
    Section,
    Strong,
    Table,
    Verdict,
    Verdicts,
)
from foolscope.reports.graph_files import write_graph
from foolscope.reports.render.html import render_html
from foolscope.reports.render.latex import latex_tables, render_latex
from foolscope.reports.render.markdown import render_markdown
from foolscope.reports.render.terminal import render_terminal

__all__ = [
    "Bullets",
    "Cell",
    "Code",
    "Column",
    "Details",
    "Document",
    "Figure",
    "Gallery",
    "Mono",
    "Notice",
    "Panel",
    "Paragraph",
    "Reference",
    "Section",
    "Strong",
    "Table",
    "Verdict",
    "Verdicts",
    "latex_tables",
    "render_html",
    "render_latex",
    "render_markdown",
    "render_terminal",
    "write_graph",
]
