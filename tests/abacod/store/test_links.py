"""Links between records."""

from __future__ import annotations

import sqlite3

from abacod.ids import TenantId
from abacod.models.catalog import RecordKind
from abacod.store import links
from reactors.pipelinejobs.identifiers import Identifiers, Kind
from tests.factories import TENANT

NAMES = Identifiers()


def named(kind: Kind, text: str) -> str:
    return NAMES.typed(kind, text)


DESIGN = named(Kind.EXPERIMENT_DESIGN, "d")
EXPERIMENTS = [named(Kind.EXPERIMENT, f"e{number}") for number in range(2)]
SAMPLES = [named(Kind.SAMPLE, f"s{number}") for number in range(4)]
MEASUREMENTS = [named(Kind.MEASUREMENT, f"m{number}") for number in range(8)]
FILE = named(Kind.FILE, "/f")
JOB = named(Kind.PIPELINEJOB, "j")


def add(tx: sqlite3.Connection, child: str, *parents: str, link: str = "child_of") -> int:
    return links.add(tx, TENANT, child, link, parents)


def a_tree(tx: sqlite3.Connection) -> None:
    """One design, two experiments of it with two samples each, of which each but the last has two measurements."""
    for number, experiment in enumerate(EXPERIMENTS):
        add(tx, experiment, DESIGN)
        for sample in SAMPLES[2 * number : 2 * number + 2]:
            add(tx, sample, experiment)
    for number, sample in enumerate(SAMPLES[:3]):
        for measurement in MEASUREMENTS[2 * number : 2 * number + 2]:
            add(tx, measurement, sample)


def test_adding_is_a_union(tx: sqlite3.Connection) -> None:
    assert add(tx, FILE, SAMPLES[1], SAMPLES[0]) == 2
    assert add(tx, FILE, SAMPLES[1], SAMPLES[2]) == 1
    assert add(tx, FILE, JOB, link="generated_by") == 1
    assert links.parents(tx, TENANT, FILE) == {"child_of": tuple(sorted(SAMPLES[:3])), "generated_by": (JOB,)}


def test_self_links_and_what_is_no_typed_uuid_are_passed_over(tx: sqlite3.Connection) -> None:
    untyped = "99946ea1-bcdf-5b6e-a8dc-4c7e81b91141"
    assert add(tx, FILE, FILE, "", "sample.lab.1", untyped, SAMPLES[0].upper(), "\ud800") == 0
    assert links.parents(tx, TENANT, FILE) == {}


def test_links_are_of_one_tenant(tx: sqlite3.Connection) -> None:
    a_tree(tx)
    other = TenantId("lab")
    assert links.parents(tx, other, SAMPLES[0]) == {}
    assert links.children(tx, other, EXPERIMENTS[0]) == ()
    assert links.descendants(tx, other, [DESIGN], RecordKind.MEASUREMENT) == ()


def test_children_are_told_by_link(tx: sqlite3.Connection) -> None:
    a_tree(tx)
    add(tx, FILE, SAMPLES[0], link="derived_from")
    assert links.children(tx, TENANT, SAMPLES[0], "child_of") == tuple(sorted(MEASUREMENTS[:2]))
    assert links.children(tx, TENANT, SAMPLES[0]) == tuple(sorted([*MEASUREMENTS[:2], FILE]))
    assert links.count_children(tx, TENANT, SAMPLES[0]) == {"measurement": 2}


def test_descendants_are_those_of_the_kind_at_any_depth(tx: sqlite3.Connection) -> None:
    a_tree(tx)

    def below(*parents: str, kind: RecordKind = RecordKind.MEASUREMENT) -> tuple[str, ...]:
        return links.descendants(tx, TENANT, parents, kind)

    assert below(DESIGN) == tuple(sorted(MEASUREMENTS[:6]))
    assert below(EXPERIMENTS[1]) == tuple(sorted(MEASUREMENTS[4:6]))
    assert below(SAMPLES[0], SAMPLES[2], EXPERIMENTS[1]) == tuple(sorted([*MEASUREMENTS[:2], *MEASUREMENTS[4:6]]))
    assert below(SAMPLES[3]) == ()
    assert below(MEASUREMENTS[0]) == ()
    assert below(DESIGN, kind=RecordKind.SAMPLE) == tuple(sorted(SAMPLES))


def test_files_of_jobs_are_no_way_to_descendants(tx: sqlite3.Connection) -> None:
    a_tree(tx)
    add(tx, JOB, SAMPLES[3])
    add(tx, FILE, JOB)
    add(tx, MEASUREMENTS[7], JOB)
    assert links.descendants(tx, TENANT, [SAMPLES[3]], RecordKind.MEASUREMENT) == ()


def test_a_circle_ends(tx: sqlite3.Connection) -> None:
    add(tx, SAMPLES[0], SAMPLES[1])
    add(tx, SAMPLES[1], SAMPLES[0])
    add(tx, MEASUREMENTS[0], SAMPLES[1])
    assert links.descendants(tx, TENANT, [SAMPLES[0]], RecordKind.MEASUREMENT) == (MEASUREMENTS[0],)


def test_what_is_deleted_has_no_links(tx: sqlite3.Connection) -> None:
    a_tree(tx)
    links.remove_all(tx, TENANT, SAMPLES[0])
    assert links.parents(tx, TENANT, SAMPLES[0]) == {}
    assert links.children(tx, TENANT, SAMPLES[0]) == ()
    assert links.parents(tx, TENANT, SAMPLES[1]) != {}
