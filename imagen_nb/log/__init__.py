"""The disk edge: the durable log, the image files, and the log as a DataFrame."""
