"""The disk: the durable log in SQLite, the sessions that drive its rows, the image files, and the log as a DataFrame.

Nothing here sends or shows anything: what a provider says comes in as a value, and a frame goes out.
"""
