"""Prints the resident memory of Atelier's own containers from a kubelet's summary on standard input."""

import json
import sys

LIMITS = {"operator": 30, "gateway": 10}  # MiB

too_much = False
for pod in json.load(sys.stdin)["pods"]:
    for container in pod.get("containers", []):
        resident = container.get("memory", {}).get("rssBytes")
        limit = LIMITS.get(container["name"])
        if resident is None or limit is None:
            continue
        mib = resident / 2**20
        too_much |= mib > limit
        print(f"   resident {container['name']:<31} {mib:5.1f} MiB (at most {limit})")
if too_much:
    sys.exit("NOT SO: a part uses more memory than it may")
