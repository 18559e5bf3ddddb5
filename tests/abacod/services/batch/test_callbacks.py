from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.errors import BatchJobRefused
from abacod.services.batch.callbacks import Notification, expanded, macros, notifications_of


@given(st.text(max_size=500))
def test_a_value_arrives_as_it_is_whatever_it_is(value: str) -> None:
    url = expanded("https://h/p?status=${STATUS}&note=${JOB_ERROR}&x=1", {"STATUS": "FAILED", "JOB_ERROR": value})
    assert parse_qs(urlsplit(url).query, keep_blank_values=True) == {"status": ["FAILED"], "note": [value], "x": ["1"]}
    assert len(expanded("${JOB_ERROR}", {"JOB_ERROR": 1000 * "x"})) == 500


def test_macros_are_seen_also_where_a_client_has_quoted_the_url() -> None:
    job = {
        "id": "1",
        "name": "n",
        "owner": "o",
        "appId": "a",
        "archivePath": "/p",
        "archiveSystem": "s",
        "status": "RUNNING",
    }
    values = macros({**job, "_links": {"self": {"href": "https://h/1"}}}, "why")
    url = (
        "http://h/%24%7BSTATUS%7D/$%7bJOB_ID%7d/${JOB_ERROR}/${JOB_NAME}/${OWNER}/${APP_ID}/${ARCHIVE_PATH}/${JOB_URL}"
    )
    assert expanded(url, values) == "http://h/RUNNING/1/why/n/o/a/%2Fp/https%3A%2F%2Fh%2F1"


def test_other_macros_stay() -> None:
    assert expanded("https://h/${OTHER}/$STATUS/${status}", {"STATUS": "x"}) == "https://h/${OTHER}/$STATUS/${status}"
    assert expanded("https://h/${STATUS}", {"STATUS": "${STATUS}\ud800"}) == "https://h/%24%7BSTATUS%7D%3F"


def test_notifications_are_read_with_their_defaults() -> None:
    given = [{"url": "http://h/"}, {"url": "https://h/", "event": "finished", "persistent": True}]
    assert notifications_of({"notifications": given}) == [
        Notification("http://h/", "*", persistent=False),
        Notification("https://h/", "FINISHED", persistent=True),
    ]
    assert not notifications_of({})


@pytest.mark.parametrize(
    "value",
    [
        {},
        "",
        [7],
        [{}],
        [{"url": 7}],
        [{"url": "file:///etc/passwd"}],
        [{"url": "http://"}],
        [{"url": "http://h:99999999/"}],
        [{"url": "http://h/\ud800"}],
        [{"url": "http://h/" + "x" * 9000}],
        [{"url": "http://h/", "event": 7}],
        [{"url": "http://h/"}] * 51,
    ],
)
def test_what_is_no_notification_is_refused(value: Any) -> None:
    with pytest.raises(BatchJobRefused, match=r"^notifications"):
        notifications_of({"notifications": value})
