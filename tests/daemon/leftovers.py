"""What a daemon that stops must not leave behind."""

from __future__ import annotations

import json

from abacod.settings_file import load_settings
from abacod.store import facts
from abacod.store.database import beside_daemon
from tests.daemon.process import DaemonProcess
from tests.docker_images import engine


async def stop_with_nothing_left(daemon: DaemonProcess) -> None:
    """Once it has taken up what an earlier one left, the daemon stops as it should.

    Then there is no container or image of its data directory on the engine, no running record, no message, no file of one,
    no directory of a results socket or of a held container, no event that waits; and the database is whole.
    """
    await daemon.recovered()
    assert await daemon.stop() == 0, daemon.events[-5:]
    settings = load_settings(daemon.config)
    with beside_daemon(settings.database_path, settings.store) as connection:
        instance = facts.instance_id(connection)
        open_records = connection.execute(
            "SELECT count(*) FROM executions WHERE status IN ('SUBMITTED', 'RUNNING')"
        ).fetchone()[0]
        messages = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        events = connection.execute("SELECT count(*) FROM events WHERE done_ms IS NULL").fetchone()[0]
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert (open_records, messages, events) == (0, 0, 0)
    assert list(settings.messages_dir.iterdir()) == []
    assert list(settings.runs_dir.iterdir()) == []
    assert [path.name for path in settings.workers_dir.iterdir() if path.is_dir()] == []
    assert [path.name for path in settings.residents_dir.iterdir() if path.is_dir()] == []
    here = engine()
    try:
        with here.client() as client:
            label = f"abacod.instance={instance}"
            found = await client.containers.list(all=True, filters=json.dumps({"label": [label]}))
            images = await client.images.list(filters={"label": [label]})
    finally:
        await here.close()
    assert found == []
    assert images == []
