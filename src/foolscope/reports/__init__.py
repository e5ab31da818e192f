"""Stored results as figures, one document model, and its renderers: HTML, Markdown, LaTeX, terminal.

matplotlib, jinja2 and pillow are imported when the first figure, page or picture is made; torch never is.
"""

from foolscope.reports.document import Document
from foolscope.reports.graph_files import write_graph
from foolscope.reports.render.html import render_html
from foolscope.reports.render.latex import latex_tables, render_latex
from foolscope.reports.render.markdown import render_markdown
from foolscope.reports.render.terminal import render_terminal

__all__ = [
    "Document",
    "latex_tables",
    "render_html",
    "render_latex",
    "render_markdown",
    "render_terminal",
    "write_graph",
]
