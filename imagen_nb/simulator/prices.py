"""The bill, by the published rules in the catalogue. The arithmetic is the simulator's own, so that it is a proof.

A rule is US dollars a picture, or a sum: so much a `run`, an `image`, a megapixel of each picture made (`output_mp`)
and of each given (`input_mp`), and a figure of the reply's `metrics`; each a number, or one by the value of an input.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imagen_nb.simulator.catalogue import MEGAPIXEL


def charge(
    rule: Any,
    filled: Mapping[str, Any],
    *,
    made: Sequence[tuple[int, int]],
    given: Sequence[tuple[int, int]] = (),
    metrics: Mapping[str, float],
) -> float:
    """US dollars for one prediction with these inputs, the sizes of its pictures and references, and its metrics."""
    if not isinstance(rule, Mapping):
        return round((rule or 0.0) * len(made), 10)

    def megapixels(sizes: Iterable[tuple[int, int]]) -> float:
        step = rule.get("mp_step", 1)
        exact = [across * down / MEGAPIXEL for across, down in sizes]
        return sum(exact) if step == 0 else sum(max(1, math.ceil(each / step - 1e-9)) * step for each in exact)

    units = {"run": 1, "image": len(made), "output_mp": megapixels(made), "input_mp": megapixels(given)}
    total = sum(units[term] * _dollars(rule[term], filled) for term in units if term in rule)
    total += sum(metrics.get(name, 0.0) * _dollars(each, filled) for name, each in rule.get("metrics", {}).items())
    return round(total, 10)


def _dollars(figure: Any, filled: Mapping[str, Any]) -> float:
    if not isinstance(figure, Mapping):
        return float(figure)
    value = filled.get(figure["by"])
    text = value if isinstance(value, str) else json.dumps(value)
    return float(figure["prices"].get(text, max(figure["prices"].values())))
