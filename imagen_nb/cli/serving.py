"""`imagen-nb simulator`: the simulator as a server of its own, for other programs and other languages."""

from __future__ import annotations

import sys
import threading


def serve(*, port: int = 0, latency: float | None = None, seed: int = 0) -> int:
    """Serve on 127.0.0.1 until interrupted, which is the regular end. `latency` is seconds per prediction."""
    from imagen_nb.errors import InputError
    from imagen_nb.simulator import Simulator

    try:
        simulator = Simulator(port=port, latency=latency, seed=seed)
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} cannot be used: {error}", "Choose another, or 0 for a free one.") from None
    with simulator:
        sys.stdout.write(
            f"The simulator answers at {simulator.base_url}; Ctrl-C ends it.\n"
            f"Elsewhere: imagen-nb --provider {simulator.base_url} run a red fox\n"
        )
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write(f"\n{len(simulator.predictions)} predictions were made.\n")
    return 0
