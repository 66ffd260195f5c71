"""A local stand-in for the API: the same HTTP on 127.0.0.1, with pictures that are painted instead of imagined.

    with Simulator(latency=0.5) as simulator:
        ...  # simulator.base_url stands before /v1

Words in a prompt make a prediction end otherwise than well; see `WORDS`. Nothing here imports the rest of the package,
and nothing here misbehaves as networks and services do: servers of that kind live with the tests.
"""

from imagen_nb.simulator.ledger import WORDS
from imagen_nb.simulator.server import Simulator, serve

__all__ = ["WORDS", "Simulator", "serve"]
