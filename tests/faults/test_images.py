"""Outputs that are cut short, gone, no images, or far too large: nothing but whole images is kept."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from origin import Origin
from providers import soon

from imagen_nb.errors import UncertainError
from imagen_nb.wire import pictures
from imagen_nb.wire.downloads import Downloader


def test_a_stop_while_others_decode_is_an_error_like_any_other(api: Origin, tmp_path: Path) -> None:
    """Who waits for a turn to decode and is stopped says so in the package's own words, and leaves no file."""
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with (
        pictures._decoding,
        pictures._decoding,
        pytest.raises(UncertainError, match="stopped"),
    ):
        Downloader(allow_local=True).fetch(f"{api.base_url}/files/a.jpg", tmp_path, deadline=soon(), stop=stop)
    assert list(tmp_path.iterdir()) == []
