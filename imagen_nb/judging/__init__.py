"""Which is better, and is it true: pairs to ask, rankings of votes, effects of factors, figures of pictures, alarms.

It computes over frames and pictures; it never opens the log, and draws no number that a seed does not fix.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagen_nb.judging.factors import effects
    from imagen_nb.judging.strengths import ranking

__all__ = ["effects", "ranking"]


def __getattr__(name: str) -> Any:  # on first use: completion looks at the scorers, and pandas is heavy
    if name == "effects":
        from imagen_nb.judging.factors import effects

        return effects
    if name == "ranking":
        from imagen_nb.judging.strengths import ranking

        return ranking
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
