"""The report: the numbers behind it, its charts, and the page."""
