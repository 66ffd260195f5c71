"""A plan being run: one handle for all of it, one life for each request, and the search for what was lost.

Here alone the API meets the log, and only here a create is sent. Nothing here speaks HTTP or SQL, or decides how
anything looks.
"""
