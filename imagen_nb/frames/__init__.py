"""What `df.imagen` shows of a frame and writes of it: any frame with the log's columns, from wherever it comes.

Nothing here opens a log or changes one, and no HTML is made here: rows become runs again, and the views show them.
"""
