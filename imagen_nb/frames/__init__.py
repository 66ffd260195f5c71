"""What `df.imagen` shows of a frame and writes of it: any frame with the log's columns, from wherever it comes.

Nothing here opens a log or changes one, and no HTML is made here: rows become runs again, and the views show them.
"""

TABLE_PAGE, GALLERY_PAGE, GRID_PAGE = 100, 60, 100
"""How many runs (of a grid: pictures) a page shows where nothing else is asked for."""
