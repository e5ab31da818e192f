"""Documents as HTML, Markdown, LaTeX."""
