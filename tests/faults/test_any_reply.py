"""A provider may say anything at all in any field: a row says what came of it, or an error does, in our words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acts import Act, reply, says
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from origin import Origin
from providers import CANARY

from imagen_nb.api.http import read_reply, refusal_of
from imagen_nb.api.replies import parse
from imagen_nb.errors import ImagenError
from imagen_nb.log.frame import frame
from imagen_nb.log.log import Log
from imagen_nb.planning.models import from_schema
from imagen_nb.planning.plan import plan
from imagen_nb.records import Request, Run
from imagen_nb.views.report_page import render_report
from imagen_nb.workspace import Workspace

CREATE_TIMEOUT_S, LOOK_S = 0.3, 0.5
MISTAKE = "mistake in imagen_nb"
FIELDS = (
    *(
        "id",
        "status",
        "output",
        "error",
        "model",
        "input",
        "version",
        "logs",
        "metrics",
        "urls",
        "data_removed",
        "data",
    ),
    *("created_at", "started_at", "completed_at", "deadline", "source", "detail", "code", "message", "results"),
)
METRICS = ("predict_time", "total_time", "image_count")
SCHEMA_KEYS = ("type", "enum", "default", "minimum", "maximum", "x-order", "description", "items", "allOf", "$ref")


NUMBERS = st.sampled_from(
    [0, -1, 2**31, 2**63, -(2**63) - 1, 10**400, -(10**400), 10**4000, 1e308, -1e308, 5e-324, 0.5]
)
WORDS = st.sampled_from(
    [
        *("", " ", "x" * 100_000, "\ud83d", "\udd8a", "\0", "\x1b[2J", "\u202e", "=1+1", "<script>", "\r\n", "{x}"),
        *("succeeded", "failed", "canceled", "aborted", "processing", "E005"),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-99-99T99:99:99Z", "1969-12-31T23:59:59.999Z"),
        *("data:image/png;base64,AAAA", "data:,", "https://["),
        *("http://127.0.0.1:1/a.png", "//host", "javascript:alert(1)", "a/b", "..", "google/imagen-4"),
    ]
)  # fmt: skip
CONSTANTS = st.sampled_from([None, True, False, [], {}, [[]], [None], float("inf"), float("-inf"), float("nan")])
NESTED = {f"nested {depth} {sign}": depth for depth in (5, 60, 400, 900, 990) for sign in "[{"}
"""Stands for so many lists or maps in one another: what finds examples prints them, and could not print these."""

DEEP = st.sampled_from(list(NESTED))
ANY = st.recursive(
    NUMBERS | WORDS | CONSTANTS | DEEP,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=6,
)
METRIC_MAPS = st.dictionaries(st.sampled_from(METRICS), ANY, max_size=3)
REPLIES = st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=4).flatmap(
    lambda fields: METRIC_MAPS.map(lambda metrics: {"metrics": metrics, **fields} if metrics else fields)
)
SHAPES = st.dictionaries(st.sampled_from(SCHEMA_KEYS), ANY | WORDS, max_size=4)
SCHEMAS = ANY | st.builds(
    lambda properties, others, required: {
        "components": {"schemas": {**others, "Input": {"properties": properties, "required": required}}}
    },
    ANY | st.dictionaries(st.sampled_from(["prompt", "seed", "n", "file_name", ""]), ANY | SHAPES, max_size=4),
    st.dictionaries(st.sampled_from(["Input", "x", "a/b"]), ANY | SHAPES, max_size=2),
    ANY,
)

many = settings(max_examples=120, suppress_health_check=list(HealthCheck))
few = settings(max_examples=10, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def api() -> Iterator[Origin]:
    with Origin(token=CANARY) as started:
        yield started


@pytest.fixture(scope="module")
def ws(api: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    home = tmp_path_factory.mktemp("replies") / "imagen_runs"
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.1, model="some/body") as opened:
        yield opened


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    with Log(tmp_path_factory.mktemp("log")) as opened:
        yield opened


def _as_text(value: Any) -> bytes:
    """The value as the body of a reply, with what is nested."""
    text = json.dumps(value)
    for word, depth in NESTED.items():
        begin, end = ("[", "]") if word.endswith("[") else ('{"a":', "}")
        text = text.replace(json.dumps(word), begin * depth + "1" + end * depth)
    return text.encode()


def _end_of(ask: Callable[[], Any]) -> Any:
    """What comes of asking: a value, or an error in our words."""
    try:
        return ask()
    except ImagenError as error:
        return error


def _is_ours(error: ImagenError) -> bool:
    """Whether the error says what happened, in lines that can be shown, and blames nobody here."""
    "\n".join(error._render_traceback_()).encode()
    return bool(error.message) and MISTAKE not in str(error)


def _is_shown(run: Run) -> bool:
    """Whether the run can be shown, as a card and in a report, and says how it stands."""
    page = render_report([run], lambda _: "", title="x")
    for text in (*run._repr_mimebundle_().values(), page, repr(run)):
        text.encode()
    return str(run.status) in repr(run)


@many
@given(REPLIES)
@example({"metrics": {"predict_time": 10**400, "total_time": -(10**400)}})
@example({"error": "nested 900 {", "status": "failed"})
@example({"output": "nested 990 [", "status": "succeeded"})
@example({"input": {"a": "nested 900 ["}})
def test_whatever_a_reply_says_is_kept_and_shown(log: Log, fields: Any) -> None:
    """As a prediction accepted, seen, and settled: the row, its card and the frame bear it."""
    (run_id,) = log.intend([Request("a/b", {"prompt": "a fox"}, "a fox")], provider="p")
    seen = _end_of(lambda: parse(json.loads(_as_text({"id": run_id, **fields}))))
    if isinstance(seen, ImagenError):
        assert "no usable prediction id" in str(seen)
        return
    if not log.accept(run_id, seen):  # an earlier row has a prediction of this id
        assert log.get(run_id).prediction_id is None
        return
    log.observe(run_id, seen)
    status = seen.status if seen.status.is_terminal else "failed"
    run = log.settle(run_id, status, prediction=seen, error=seen.error, error_code=seen.error_code)
    assert _is_shown(run)
    row = frame(log, ids=[run_id])
    assert len(row) == 1
    row.to_json(date_format="iso").encode()


@many
@given(SCHEMAS)
@example({"components": {"schemas": {"Input": {"properties": {"x": {"maximum": 10**400, "type": "integer"}}}}}})
def test_whatever_a_schema_says_plans_are_made_or_refused(schema: Any) -> None:
    """The spec of the model is made of what can be read of it, and a plan by it is a plan, or an error in our words."""
    spec = from_schema("a/b", json.loads(_as_text(schema)))
    for params in ({}, {"seed": 3}, {"n": "x", "file_name": 1.5}):
        made = _end_of(lambda params=params: plan("a fox", lambda _: spec, model="a/b", params=params))  # type: ignore[misc] # bound early
        if isinstance(made, ImagenError):
            assert _is_ours(made)
        else:
            for text in made._repr_mimebundle_().values():
                text.encode()
    for param in spec.params.values():
        assert param.allowed


@many
@given(st.sampled_from([200, 302, 400, 401, 404, 422, 429, 500, 502]), ANY | REPLIES)
@example(422, {"invalid_fields": [{"field": "nested 400 [", "description": "nested 60 {"}]})
@example(429, {"detail": "nested 900 ["})
def test_whatever_a_refusal_says_is_an_error_in_our_words(status: int, body: Any) -> None:
    """The error of any status is one of ours, in two lines that can be shown, and none of them is long."""
    answer = read_reply(status, {}, _as_text(body).decode())
    error = refusal_of(answer)
    if error is None:
        assert status == 200
        return
    assert _is_ours(error)
    assert len(str(error)) < 1000


@pytest.mark.parametrize("depth", [90, 110, 5000])
def test_a_reply_nested_beyond_measure_is_none(depth: int) -> None:
    """Some Pythons read thousands of lists in one another, which nothing can write, compare or print afterwards."""
    body = read_reply(200, {}, '{"a":' * depth + "1" + "}" * depth).body
    assert (body is None) == (depth > 100)


def _ends_well(ws: Workspace, api: Origin) -> None:
    """One request ends in a row, with or without an error in our words; nothing is billed twice."""
    billed, rows = len(api.bills), ws.log.count()
    end = _end_of(lambda: ws.generate("a fox", timeout=CREATE_TIMEOUT_S, slots={}))
    assert _is_ours(end) if isinstance(end, ImagenError) else _is_shown(end)
    assert len(api.bills) - billed <= ws.log.count() - rows == 1


@few
@given(REPLIES)
@example({"metrics": {"predict_time": 10**400}})
@example({"status": "processing"})
def test_whatever_a_create_and_its_looks_answer_the_row_ends(ws: Workspace, api: Origin, fields: Any) -> None:
    """Over the wire: in the reply to the create and to each look."""
    api.heal()
    said = json.loads(_as_text(fields))
    api.answer = lambda _: said
    _ends_well(ws, api)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(ANY)
def test_whatever_a_list_holds_it_is_read_or_refused(ws: Workspace, api: Origin, entry: Any) -> None:
    """Over the wire: what can be read of its entries comes, and its end is one in our words."""
    api.heal()
    api.fault("list", instead=[_list(entry)])
    found = _end_of(lambda: list(ws.connections.api.list(deadline=time.monotonic() + LOOK_S, pages=1)))
    assert _is_ours(found) if isinstance(found, ImagenError) else "x" * 26 in [each.id for each in found]


@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(ANY)
def test_whatever_a_list_holds_a_lost_create_ends(ws: Workspace, api: Origin, entry: Any) -> None:
    """Over the wire: the reply to the create is lost, and the list that is asked for it has this among its entries."""
    api.heal()
    api.answer = lambda _: {}
    api.fault("create", instead=[says({"detail": "failed"}, 502)], times=1)
    api.fault("list", instead=[_list(entry)])
    _ends_well(ws, api)


def _list(entry: Any) -> Act:
    whole = {"results": [entry, {"id": "x" * 26, "input": entry, "created_at": entry}], "next": entry}
    return reply(_as_text(whole), content_type="application/json")


@few
@given(SCHEMAS)
def test_whatever_a_models_page_says_it_is_asked_or_refused(
    api: Origin, tmp_path_factory: pytest.TempPathFactory, schema: Any
) -> None:
    """Over the wire: the schema of a model that the catalogue does not know."""
    api.heal()
    api.answer = lambda _: {}
    page = {"owner": schema, "latest_version": {"openapi_schema": schema, "id": schema}}
    api.fault("model", instead=[reply(_as_text(page), content_type="application/json")])
    home: Path = tmp_path_factory.mktemp("schema") / "imagen_runs"
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.1, model="some/body") as ws:
        end = _end_of(lambda: ws.generate("a fox", timeout=2.0, slots={}))
        assert _is_ours(end) if isinstance(end, ImagenError) else _is_shown(end)
