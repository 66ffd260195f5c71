"""Statements composed with SQLAlchemy and compiled once, for those that run several times for each prediction.

Building, looking up and typing a statement anew costs ten times what SQLite needs to run it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_DIALECT = SQLiteDialect_pysqlite()

Process = Callable[[Any], Any]


class Prepared:
    """A select, insert, update or delete whose parameters are given by name when it runs; compiled on first use."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement

    def rows(self, conn: sa.Connection, **values: Any) -> list[Any]:
        """The rows it selects, as named tuples of Python values."""
        make, processors = self._row
        found = _raw(conn).execute(self._sql, self._bound(values)).fetchall()
        return [
            make(
                *[value if process is None else process(value) for value, process in zip(row, processors, strict=True)]
            )
            for row in found
        ]

    def value(self, conn: sa.Connection, **values: Any) -> Any:
        """The first column of the first row, or None."""
        return next(iter(self.rows(conn, **values)), (None,))[0]

    def run(self, conn: sa.Connection, **values: Any) -> None:
        """Change what it changes, once."""
        _raw(conn).execute(self._sql, self._bound(values))

    def run_each(self, conn: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Change what it changes, once for each map of values."""
        _raw(conn).executemany(self._sql, [self._bound(row) for row in rows])

    def _bound(self, values: Mapping[str, Any]) -> list[Any]:
        return [
            fixed if name not in values else values[name] if process is None else process(values[name])
            for name, fixed, process in self._parameters
        ]

    @cached_property
    def _compiled(self) -> Any:
        return self._statement.compile(dialect=_DIALECT)

    @cached_property
    def _sql(self) -> str:
        return str(self._compiled)

    @cached_property
    def _parameters(self) -> list[tuple[str, Any, Process | None]]:
        """For each mark in the text: its name, its value where the statement itself gives one, how to type a value."""
        compiled, kinds = self._compiled, self._compiled.binds
        return [
            (name, compiled.params[name], kinds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT))
            for name in compiled.positiontup or ()
        ]

    @cached_property
    def _row(self) -> tuple[Callable[..., Any], list[Process | None]]:
        columns = list(self._statement.selected_columns)
        make = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc] # noqa: PYI024 - its fields are known only now
        return make, [column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None) for column in columns]


def given(name: str, like: sa.Column[Any]) -> sa.BindParameter[Any]:
    """A parameter of a prepared statement, typed like a column."""
    return sa.bindparam(name, type_=like.type, required=False)


def _raw(conn: sa.Connection) -> Any:
    return conn.connection.dbapi_connection
