"""The outbox of events."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from abacod.clock import to_ms
from abacod.ids import ActorId
from abacod.models.event import Delivery, Event


def append(tx: sqlite3.Connection, event: Event) -> None:
    """Put an event behind all others."""
    tx.execute(
        "INSERT INTO events (actor_id, body, link, target, webhook) VALUES (?, ?, ?, ?, ?)",
        (
            event.actor_id,
            json.dumps(event.fields(), ensure_ascii=False),
            event.link,
            event.target,
            event.webhook,
        ),
    )


def actors_with_waiting(tx: sqlite3.Connection) -> list[ActorId]:
    """The actors whose events are not all delivered."""
    rows = tx.execute("SELECT DISTINCT actor_id FROM events INDEXED BY events_waiting WHERE done_ms IS NULL")
    return [ActorId(row["actor_id"]) for row in rows]


def next_waiting(tx: sqlite3.Connection, actor_id: ActorId) -> Delivery | None:
    """The actor's oldest event that is not delivered, None if all are."""
    row = tx.execute(
        "SELECT * FROM events WHERE actor_id = ? AND done_ms IS NULL ORDER BY seq LIMIT 1", (actor_id,)
    ).fetchone()
    if row is None:
        return None
    return Delivery(
        seq=row["seq"],
        actor_id=ActorId(row["actor_id"]),
        body=row["body"],
        link=row["link"],
        target=ActorId(row["target"]) if row["target"] else None,
        webhook=row["webhook"],
        linked=row["link_outcome"] is not None,
        attempted=row["attempt_ms"] is not None,
    )


def settle_link(tx: sqlite3.Connection, seq: int, outcome: str) -> bool:
    """The link is dealt with; False if it was before, or the event's actor is gone."""
    changed = tx.execute(
        "UPDATE events SET link_outcome = ? WHERE seq = ? AND link_outcome IS NULL AND done_ms IS NULL", (outcome, seq)
    )
    return bool(changed.rowcount)


def mark_attempted(tx: sqlite3.Connection, seq: int, moment: datetime) -> bool:
    """The webhook is about to be called; False if it was before, or the event's actor is gone."""
    changed = tx.execute(
        "UPDATE events SET attempt_ms = ? WHERE seq = ? AND attempt_ms IS NULL AND done_ms IS NULL",
        (to_ms(moment), seq),
    )
    return bool(changed.rowcount)


def finish(tx: sqlite3.Connection, seq: int, moment: datetime, webhook_outcome: str | None) -> None:
    """Nothing more is done about the event."""
    tx.execute(
        "UPDATE events SET done_ms = ?, webhook_outcome = ? WHERE seq = ?", (to_ms(moment), webhook_outcome, seq)
    )


def remove_done(tx: sqlite3.Connection, before: datetime, limit: int) -> int:
    """Forget up to `limit` events that were done with before that moment; how many it were."""
    removed = tx.execute(
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE done_ms < ? LIMIT ?)", (to_ms(before), limit)
    )
    return removed.rowcount
