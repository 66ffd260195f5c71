"""A plan being run: one handle for all of it, and one life for each request; here alone the API meets the log."""
