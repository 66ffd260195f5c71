"""A local stand-in for the API: the same HTTP on 127.0.0.1, with pictures that are painted instead of imagined.

    with Simulator(latency=0.5) as simulator:
        ...  # simulator.base_url stands before /v1

Words in a prompt make a prediction end otherwise than well; see `WORDS`. Faults of the network and the service are
in `Faults`. Nothing here imports the rest of the package.
"""

from imagen_nb.simulator.ledger import WORDS
from imagen_nb.simulator.server import Simulator, serve
from imagen_nb.simulator.service import Faults

__all__ = ["WORDS", "Faults", "Simulator", "serve"]
