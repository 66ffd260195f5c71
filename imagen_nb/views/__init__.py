"""Values in, text out: what runs, sweeps, plans and comparisons look like in a cell, a terminal and a report.

A view that fills a cell is a function `render_…` that gives HTML and plain text from the same values. Nothing here
opens a log, asks a provider or knows of a widget.
"""
