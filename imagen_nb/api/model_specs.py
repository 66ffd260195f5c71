"""What is known of the models in use: the catalogue, else the API's schema, else nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from imagen_nb.errors import ProviderError
from imagen_nb.planning.models import ModelSpec, catalogue_spec, check_model_name, from_schema, unknown_spec


class ModelSpecs:
    """The specs of models by name, each found once; safe to use from many threads.

    `fetch_schema` asks the API for a model's schema and gives None where it has none. `prices` are US dollars an image
    by model name, in place of the list prices. `notify` gets the one notice where nothing can be known of a model.
    """

    def __init__(
        self,
        fetch_schema: Callable[[str], Mapping[str, Any] | None],
        prices: Mapping[str, float],
        notify: Callable[[str], object],
    ) -> None:
        self._fetch_schema = fetch_schema
        self._prices = prices
        self._notify = notify
        self._found: dict[str, ModelSpec] = {}
        self._lock = threading.Lock()

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
        if schema is None:
            self._notify(f"No schema for {name}: its inputs are sent as given, unchecked, and its price is unknown.")
        found = unknown_spec(name) if schema is None else from_schema(name, schema)
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

    def _with_price(self, name: str, spec: ModelSpec) -> ModelSpec:
        return spec.with_price(self._prices[name]) if name in self._prices else spec
