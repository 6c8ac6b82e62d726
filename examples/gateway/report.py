#!/usr/bin/env python3
"""Says what a run of the gateway pipeline did: report.py FOLDER

The folder has what scripts/demo.sh leaves there: report.json (from `torvyn run --format json`), labels.json,
readings.jsonl, uplink.jsonl and dead-letters.jsonl. Incidents and alerts are compared by score.py.
"""
import json
import os
import sys

import score


def size(count):
    for unit in ("B", "KiB", "MiB"):
        if count < 1024 or unit == "MiB":
            return "%.1f %s" % (count, unit) if unit != "B" else "%d B" % count
        count /= 1024


def stages_of(report):
    return report["flows"][0]["stages"]


def counter(report, stage, name):
    return next(s["counters"].get(name, 0) for s in stages_of(report) if s["name"] == stage)


def print_records(report, labels, folder):
    files = {name: os.path.getsize(os.path.join(folder, name)) for name in ("readings.jsonl", "uplink.jsonl")}
    reduction = files["readings.jsonl"] / max(1, files["uplink.jsonl"])
    print("records in        %d in %.2f s, %d a second" % (report["records_in"], report["elapsed_s"], report["records_per_s"]))
    print("dead-lettered     %d (%d lines were broken on purpose)" % (report["dead_lettered"], labels["malformed"]))
    print("late readings     %d behind a closed window, %d of them too late" % (
        counter(report, "aggregate", "late_records"), counter(report, "aggregate", "late_dropped")))
    print("unknown devices   %d readings, passed on as they are" % counter(report, "enrich", "unknown_devices"))
    print("windows out       %d, and %d corrections" % (
        counter(report, "aggregate", "windows"), counter(report, "aggregate", "corrections")))
    print("alerts out        %d" % counter(report, "aggregate", "alerts"))
    print("data reduction    %s in : %s out = %.1f : 1" % (
        size(files["readings.jsonl"]), size(files["uplink.jsonl"]), reduction))


def print_memory(report):
    print("memory            component peak      budget      time a reading")
    for stage in stages_of(report):
        print("  %-15s %14s %11s %12d ns" % (
            stage["name"], size(stage["memory_bytes_peak"]), size(stage["memory_bytes_max"]),
            stage["busy_s"] / max(1, report["records_in"]) * 1e9))
    print("  %-15s %14s" % ("whole process", size(report["rss_peak_bytes"])))


def print_examples(documents):
    alerts = [document for document in documents if document["type"] == "alert"]
    windows = [document for document in documents if document["type"] == "window"]
    for title, found in (("an alert", alerts), ("a window", windows)):
        if found:
            print("%s: %s" % (title, json.dumps(found[len(found) // 2])))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
        report = json.load(file)
    with open(os.path.join(folder, "labels.json"), encoding="utf-8") as file:
        labels = json.load(file)
    documents = list(score.documents(os.path.join(folder, "uplink.jsonl")))
    print_records(report, labels, folder)
    print()
    alerts = [document for document in documents if document["type"] == "alert"]
    score.print_report(labels["incidents"], score.compare(labels["incidents"], alerts, 600))
    print()
    print_memory(report)
    print()
    print_examples(documents)
    print("\nAll of it: %s" % ", ".join(os.path.join(folder, name) for name in ("uplink.jsonl", "dead-letters.jsonl")))


if __name__ == "__main__":
    main()
