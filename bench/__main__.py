"""Run all measurements, print them as a table and write it to `bench/results/latest.md`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench import posts, runs, table
from bench.daemon import daemon

_HERE: Final = Path(__file__).resolve().parent
_BUILD: Final = _HERE.parent / "examples" / "word-count" / "build.sh"
# Twice what all of it takes; an engine that is away must not be waited for without end. In seconds.
_LIMIT: Final = 180.0


async def main() -> None:
    """Measure, one thing after the other."""
    rows: list[table.Row] = []
    with tempfile.TemporaryDirectory(prefix="abacod-bench.") as folder:
        async with daemon(Path(folder)) as server:
            rows.append(await posts.measure(server))
            rows += await runs.measure(server)
    text = table.page(rows)
    print(text)
    results = _HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "latest.md").write_text(text)


if __name__ == "__main__":
    built = subprocess.run([_BUILD, runs.IMAGE], check=False)
    if built.returncode:
        sys.exit("bench: the image could not be built.")
    try:
        asyncio.run(asyncio.wait_for(main(), _LIMIT))
    except TimeoutError:
        sys.exit(f"bench: not done within {_LIMIT:.0f} s; does the engine answer?")
