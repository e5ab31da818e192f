"""What the results of verbs have in common: a report, which a notebook shows."""

import html
from abc import ABC, abstractmethod

from foolscope.reports import Document, render_html

__all__ = ["Result"]


class Result(ABC):
    """A result that has a report."""

    @property
    @abstractmethod
    def document(self) -> Document:
        """The report."""

    def _repr_html_(self) -> str:
        """Put the report into a frame, so that its style and the notebook's stay apart."""
        page = html.escape(render_html(self.document), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:640px;border:0"></iframe>'
