"""The HTTP edge: the API with the token, the files without it, and nothing foreign past this door."""
