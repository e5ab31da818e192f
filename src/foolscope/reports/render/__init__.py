"""Documents as HTML, Markdown, LaTeX, and as text for a terminal."""
