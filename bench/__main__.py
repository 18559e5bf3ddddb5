"""Measure, print a table, and write it to `bench/results/latest.md`, and a picture of it beside that.

`python -m bench` measures everything, `python -m bench NAME …` only that; `python -m bench --list` tells the names.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import ahead, cold, do_it_yourself, follow, growth, memory, posts, report, resident, start, warm
from bench.measure import Bench, Line, Measure, NotPossibleHere

MEASURES: Final[tuple[Measure, ...]] = (
    posts.MEASURE,
    growth.MEASURE,
    start.MEASURE,
    memory.MEASURE,
    cold.MEASURE,
    ahead.MEASURE,
    warm.MEASURE,
    resident.MEASURE,
    do_it_yourself.MEASURE,
    follow.MEASURE,
)
_HERE: Final = Path(__file__).resolve().parent
_BUILD: Final = _HERE.parent / "examples" / "word-count" / "build.sh"


async def _measured(measures: Sequence[Measure], command: str) -> tuple[list[Line], list[str]]:
    """The lines of all measures, and what went wrong. One that fails does not take the others along."""
    lines: list[Line] = []
    failures = []
    with tempfile.TemporaryDirectory(prefix="abacod-bench.") as folder:
        bench = Bench(Path(folder), _HERE / "results" / "cache")
        bench.cache.mkdir(parents=True, exist_ok=True)
        for measure in measures:
            began = time.monotonic()
            try:
                async with asyncio.timeout(measure.seconds):
                    lines += await measure.run(bench)
            except TimeoutError:
                failures.append(f"{measure.name}: not done within {measure.seconds:.0f} s; does the engine answer?")
            except NotPossibleHere as error:
                print(f"bench: {measure.name} was left out: {error}", file=sys.stderr)
            except Exception as error:  # noqa: BLE001 - see above
                failures.append(f"{measure.name}: {type(error).__name__}: {error}")
            print(f"bench: {measure.name} took {time.monotonic() - began:.0f} s", file=sys.stderr)
            _keep(lines, command)
    return lines, failures


def _keep(lines: Sequence[Line], command: str) -> None:
    """Write what there is so far, for a run that is broken off."""
    results = _HERE / "results"
    (results / "latest.md").write_text(report.page(lines, command))
    report.draw(lines, results / "latest.svg")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="what to measure; everything if none is given")
    parser.add_argument("--list", action="store_true", help="tell the names")
    given = parser.parse_args()
    by_name = {measure.name: measure for measure in MEASURES}
    if given.list:
        print("\n".join(by_name))
        return
    if unknown := [name for name in given.names if name not in by_name]:
        parser.error(f"there is no measure {unknown[0]}; there are {', '.join(by_name)}")
    if subprocess.run([_BUILD, cold.IMAGE], check=False).returncode:
        sys.exit("bench: the image could not be built.")
    names = given.names or list(by_name)
    command = " ".join(["python -m bench", *given.names])
    lines, failures = asyncio.run(_measured([by_name[name] for name in names], command))
    print(report.page(lines, command))
    if failures:
        sys.exit("\n".join(f"bench: {failure}" for failure in failures))


if __name__ == "__main__":
    main()
