"""Which is better, and is it true: pairs to ask, rankings of votes, effects of factors, figures of pictures, alarms.

It computes over frames and pictures; it never opens the log, and draws no number that a seed does not fix.
"""

from imagen_nb.judging.factors import effects
from imagen_nb.judging.strengths import ranking

__all__ = ["effects", "ranking"]
