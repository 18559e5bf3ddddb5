from __future__ import annotations

from collections.abc import Iterator

import pytest

from abacod.errors import AbacoError, ActorNotFound, ImageMissing, NotPermitted, RunNotStarted, StartFailed


def tree(root: type[AbacoError]) -> Iterator[type[AbacoError]]:
    """The errors of this module; a floor may have others of its own."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == root.__module__:
            yield from tree(child)


def name_of(error: type[AbacoError]) -> str:
    return error.__name__


ERRORS: list[type[AbacoError]] = sorted(set(tree(AbacoError)), key=name_of)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_a_message_a_status_and_a_name(error: type[AbacoError]) -> None:
    made = error()
    assert made.message
    assert str(made) == made.message
    assert made.code == error.__name__
    assert 400 <= made.status < 600
    assert made.abaco_status is None or 400 <= made.abaco_status < 600


def test_what_is_given_replaces_the_default() -> None:
    error = ActorNotFound("No actor x.", hint="look", result={"id": 1})
    assert (error.message, error.hint, error.result, error.status) == ("No actor x.", "look", {"id": 1}, 404)
    assert (NotPermitted.status, NotPermitted.abaco_status) == (403, 400)


def test_which_starts_may_be_tried_again() -> None:
    assert RunNotStarted.retryable
    assert StartFailed.retryable
    assert not ImageMissing.retryable
