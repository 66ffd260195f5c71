"""The provider over HTTP: predictions with the token, output files without it, each call bounded in time and memory.

Nothing foreign passes this door (no exception, no socket, no byte of the token), and nothing here knows of rows, plans
or widgets.
"""
