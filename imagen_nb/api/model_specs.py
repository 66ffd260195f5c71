"""What is known of the models in use: the catalogue, else the API's schema, else nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import ImagenError, ProviderError
from imagen_nb.planning.models import (
    ModelSpec,
    catalogue_names,
    catalogue_spec,
    check_model_name,
    from_schema,
    local_names,
    unknown_spec,
)

if TYPE_CHECKING:
    import pandas as pd

NEWER = "the API, newer than the catalogue"


class ModelSpecs:
    """The specs of models by name, each found once; safe to use from many threads.

    `fetch_schema` asks the API for a model's schema and gives None where it has none. `prices` are US dollars an image,
    or rules, by model name, in place of the list prices. `notify` gets the one notice where nothing can be known of a
    model, and the one that a model was shut down. With `is_simulated` no price is one to be paid. Raises `InputError`
    for what is no price.
    """

    def __init__(
        self,
        fetch_schema: Callable[[str], Mapping[str, Any] | None],
        prices: Mapping[str, Any],
        notify: Callable[[str], object],
        *,
        is_simulated: bool = False,
    ) -> None:
        self._fetch_schema = fetch_schema
        self._prices = prices
        self._notify = notify
        self._is_simulated = is_simulated
        self._found: dict[str, ModelSpec] = {}
        self._said: set[str] = set()
        self._asked: set[str] = set()
        self._lock = threading.Lock()
        for name, price in prices.items():
            (catalogue_spec(name) or unknown_spec(name)).with_price(price)

    def get(self, model: str) -> ModelSpec:
        """The spec of a model. Raises `InputError` for what is no model's name, a `ProviderError` that stops sweeps."""
        name = check_model_name(model)
        spec = self.peek(name)
        if spec is not None:
            return spec
        try:
            schema = self._fetch_schema(name)
        except ProviderError as error:
            if error.is_stopping:
                raise
            schema = None
        found = unknown_spec(name) if schema is None else replace(from_schema(name, schema), source="the API")
        if name in local_names:
            found = replace(found.with_price(0), price_source="local")
        if schema is None:
            price = "" if found.price else ", and its price is unknown"
            self._notify(f"No schema for {name}: its inputs are sent as given, unchecked{price}.")
        with self._lock:
            self._found[name] = found
        return self._with_price(name, found)

    def get_or_unknown(self, model: str) -> ModelSpec:
        """The same; where it cannot be had now, nothing is known of the model, which may be told later."""
        try:
            return self.get(model)
        except ProviderError:
            return self._with_price(model, unknown_spec(model))

    def peek(self, model: str) -> ModelSpec | None:
        """The same, without asking anybody: None for a model not met yet."""
        with self._lock:
            spec = self._found.get(model) or catalogue_spec(model)
        return spec and self._with_price(model, spec)

    def say_retired(self, models: Iterable[str]) -> None:
        """Notify of each of these models that was shut down, once, with its successor. Nothing is refused for it."""
        for name in models:
            spec = catalogue_spec(name)
            if spec and spec.retirement and name not in self._said:
                self._said.add(name)
                self._notify(". ".join(spec.retirement))

    def look_for_newer(self, models: Iterable[str]) -> None:
        """Ask the API in the background, once for each, whether it has a newer schema of what the catalogue knows."""
        with self._lock:
            due = [name for name in models if name not in self._asked and catalogue_spec(name)]
            self._asked.update(due)

        def look() -> None:
            for name in due:
                with suppress(ImagenError):  # then the catalogue's is good enough
                    self.take_newer(name)

        if due:
            with suppress(RuntimeError):  # no thread is to be had
                threading.Thread(target=look, name="imagen-schemas", daemon=True).start()

    def take_newer(self, model: str) -> None:
        """Let the API's schema count from now on where it says another thing than the catalogue's."""
        known, schema = catalogue_spec(model), self._fetch_schema(model)
        if known is None or schema is None:
            return
        read = from_schema(model, schema)
        if "prompt" in read.params and _facts(read) != _facts(known):
            output = read.output or known.output
            newer = replace(known, params=read.params, output=output, is_partial=False, source=NEWER)
            with self._lock:
                self._found[model] = newer

    def frame(self) -> pd.DataFrame:
        """A row for each model of the catalogue and each met so far, indexed by name: what it makes, and what it costs.

        `price` is the rule in words, `files` the inputs that take files with how many, `typical_s` seconds, `inputs`
        all but the prompt; `partial` is True where more inputs may exist.
        """
        import pandas as pd

        names = dict.fromkeys([*catalogue_names(), *self._found, *self._prices])
        rows = []
        for name in names:
            spec = self.peek(name) or self._with_price(name, unknown_spec(name))
            takes = {each: param for each, param in spec.params.items() if param.is_file}
            rows.append(
                {
                    "model": name,
                    "output": spec.output,
                    "price": spec.price.words if spec.price else None,
                    "price_source": spec.price_source,
                    "files": ", ".join(
                        f"{each} ({param.most})" if param.most else each for each, param in takes.items()
                    ),
                    "inputs": ", ".join(each for each in spec.params if each != "prompt"),
                    "typical_s": spec.typical_s,
                    "retired_on": spec.retired_on,
                    "successor": spec.successor,
                    "partial": spec.is_partial or not spec.is_validated,
                    "source": spec.source,
                }
            )
        kinds = {column: "string" for column in rows[0] if column not in ("typical_s", "partial")}
        made = pd.DataFrame.from_records(rows).astype({**kinds, "typical_s": "float64"})
        frame: pd.DataFrame = made.set_index("model")
        return frame

    def _with_price(self, name: str, spec: ModelSpec) -> ModelSpec:
        priced = spec.with_price(self._prices[name]) if name in self._prices else spec
        return replace(priced, price_source="simulated") if self._is_simulated and priced.price else priced


def _facts(spec: ModelSpec) -> dict[str, Any]:
    """What two schemas of a model are compared by: neither the words nor the order."""
    return {name: replace(param, description="", order=0) for name, param in spec.params.items()}
