"""Published identifiers, and what one of the published jobs was made of (spec/pipelinejobs 11)."""

from __future__ import annotations

from typing import Final

JOBS_DEMO: Final = "106c46ff-8186-5756-a934-071f4497b58d"
NOVEL_CHASSIS: Final = "106bd127-e2d2-57ac-b9be-11ed06042e68"
EXPERIMENT: Final = "102e95e6-67a8-5a06-9484-3131c6907890"

PROXY_DATA: Final = {
    "appId": "tacobot9000-0.1.0u1",
    "name": "TACObot job",
    "inputs": {"file1": "agave://data.tacc.cloud/examples/tacobot/test1.txt"},
    "parameters": {"salsa": True, "avocado": False, "cheese": True},
    "maxRunTime": "01:00:00",
}
