"""The options that say where: which folder, and which provider."""

from __future__ import annotations

from imagen_nb.core.grammar import Option

WHERE = (
    Option("home", "", "DIR", "the folder with the log and the images (default: imagen_runs)"),
    Option("provider", "", "NAME", "kkiai, replicate, simulator, or a base URL"),
)
