"""A laboratory for text-to-image prompts in Jupyter."""

__version__ = "0.1.0"
