"""What is known of the models in use: the catalogue, else the API's schema, else nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from imagen_nb.errors import ProviderError
from imagen_nb.planning.models import ModelSpec, catalogue_spec, check_model_name, from_schema, unknown_spec


class Specs:
    """The specs of models by name, each found once; safe to use from many threads.

    `schema` asks the API for a model's schema and gives None where it has none. `prices` are US dollars an image by
    model name, in place of the list prices. `tell` gets the one notice where nothing can be known of a model.
    """

    def __init__(
        self,
        schema: Callable[[str], Mapping[str, Any] | None],
        prices: Mapping[str, float],
        tell: Callable[[str], object],
    ) -> None:
        self._schema = schema
        self._prices = prices
        self._tell = tell
        self._found: dict[str, ModelSpec] = {}
        self._lock = threading.Lock()

    def get(self, model: str) -> ModelSpec:
        """The spec of a model. Raises `InputError` for what is no model's name, a `ProviderError` that stops sweeps."""
        name = check_model_name(model)
        spec = self._known(name)
        if spec is None:
            spec = self._asked(name)
            with self._lock:
                self._found[name] = spec
        return self._priced(name, spec)

    def at_hand(self, model: str) -> ModelSpec:
        """The same; where it cannot be had now, nothing is known of the model, which may be told later."""
        try:
            return self.get(model)
        except ProviderError:
            return self._priced(model, unknown_spec(model))

    def cached(self, model: str) -> ModelSpec | None:
        """The same, without asking anybody: None for a model not met yet."""
        spec = self._known(model)
        return spec and self._priced(model, spec)

    def _known(self, name: str) -> ModelSpec | None:
        with self._lock:
            return self._found.get(name) or catalogue_spec(name)

    def _priced(self, name: str, spec: ModelSpec) -> ModelSpec:
        return spec.with_price(self._prices[name]) if name in self._prices else spec

    def _asked(self, name: str) -> ModelSpec:
        try:
            schema = self._schema(name)
        except ProviderError as error:
            if error.is_stopping:
                raise
            schema = None
        if schema is not None:
            return from_schema(name, schema)
        self._tell(f"No schema for {name}: its inputs are sent as given, unchecked, and its price is unknown.")
        return unknown_spec(name)
