#!/usr/bin/env python3
"""Compares the alerts a pipeline sent with the incidents that were really there.

    score.py labels.json uplink.jsonl [--grace 600] [--json]

An alert counts for an incident if it is about the same sensor and falls between the incident's start and its end plus
the grace time (seconds). The first such alert finds the incident; further ones are repeats. An alert that belongs to
no incident is false. Nothing else is taken into account: not the method, not the score.
"""
import argparse
import collections
import datetime
import json
import statistics


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def documents(path):
    """Lines of JSON, or lines that are JSON arrays."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            found = json.loads(line)
            yield from found if isinstance(found, list) else [found]


def compare(incidents, alerts, grace):
    result = {"found": [], "missed": [], "false": [], "repeats": 0}
    pending = {id(incident): incident for incident in incidents}
    for alert in alerts:
        at = seconds(alert["time"])
        matching = [
            incident
            for incident in incidents
            if incident["device"] == alert["device"]
            and incident["metric"] == alert.get("metric", "")
            and seconds(incident["start"]) <= at <= seconds(incident["end"]) + grace
        ]
        if not matching:
            result["false"].append(alert)
        elif id(matching[0]) in pending:
            del pending[id(matching[0])]
            delay = at - seconds(matching[0]["start"])
            result["found"].append({**matching[0], "delay": delay, "method": alert["method"]})
        else:
            result["repeats"] += 1
    result["missed"] = list(pending.values())
    return result


def print_report(incidents, result):
    by_kind = collections.defaultdict(list)
    totals = collections.Counter(incident["kind"] for incident in incidents)
    for found in result["found"]:
        by_kind[found["kind"]].append(found["delay"])
    print("incidents found   %d of %d" % (len(result["found"]), len(incidents)))
    for kind in sorted(totals):
        delays = by_kind[kind]
        middle = "after %.0f s (median)" % statistics.median(delays) if delays else ""
        print("  %-12s    %d of %d  %s" % (kind, len(delays), totals[kind], middle))
    print("false alerts      %d" % len(result["false"]))
    print("repeated alerts   %d" % result["repeats"])
    for incident in result["missed"]:
        print("  missed: %(kind)s of %(device)s %(metric)s from %(start)s to %(end)s" % incident)
    for alert in result["false"][:10]:
        print("  false:  %s of %s %s at %s" % (alert["method"], alert["device"], alert.get("metric", ""), alert["time"]))
    if len(result["false"]) > 10:
        print("  ... and %d more" % (len(result["false"]) - 10))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("labels")
    parser.add_argument("output")
    parser.add_argument("--grace", type=float, default=600, help="seconds an alert may come after the incident's end")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with open(args.labels, encoding="utf-8") as file:
        incidents = json.load(file)["incidents"]
    alerts = [document for document in documents(args.output) if document.get("type") == "alert"]
    result = compare(incidents, alerts, args.grace)
    if args.json:
        print(json.dumps({key: value if key == "repeats" else len(value) for key, value in result.items()}))
    else:
        print_report(incidents, result)


if __name__ == "__main__":
    main()
