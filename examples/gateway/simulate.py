#!/usr/bin/env python3
"""Writes a day of recorded readings with known incidents, for the gateway example.

    simulate.py --out build/demo                     48 sensors, one reading each 10 s, one day, seed 1
    simulate.py --out DIR --readings 1000000         as many readings as asked for, ending early or running on

Makes three files in the folder: readings.jsonl (or readings.csv), labels.json (every incident: sensor, kind, start,
end; and how many lines are malformed, unknown and late) and devices.csv (the device table the enricher reads).
The same seed gives the same bytes on every machine: only the standard library's generator, and rounded values.

What it plays: twelve presses with four sensors each. Every signal has a daily course, slow wandering and noise of
its own. Things that are no incident happen too: small changes of a set-point, machines at half load in the evening,
one sensor with coarse steps. Incidents: spike, jump, drift, stuck, range, silent.
"""
import argparse
import datetime
import heapq
import itertools
import json
import math
import os
import random

START = datetime.datetime(2026, 3, 2, tzinfo=datetime.timezone.utc)
SECOND = 1000  # all times are in milliseconds

# metric: mean, spread of the mean between machines, daily swing, wandering, noise, least and greatest plausible value,
# step of the display; then unit, scale and offset of the calibration in the device table
METRICS = {
    "temperature": (68.0, 6.0, 4.0, 0.25, 0.20, -20.0, 130.0, 0.01, "degC", 1.0, 0.0),
    "pressure": (612.0, 25.0, 6.0, 0.90, 0.80, 0.0, 1000.0, 0.1, "bar", 0.01, 0.0),
    "vibration": (2.4, 0.5, 0.15, 0.03, 0.06, 0.0, 50.0, 0.001, "mm/s", 1.0, 0.0),
    "current": (14200.0, 900.0, 350.0, 25.0, 40.0, 0.0, 40000.0, 1.0, "A", 0.001, 0.0),
}
KINDS = ["spike", "jump", "drift", "stuck", "range", "silent"]
# How strong: multiples of the noise. A drift gets there slowly, a jump at once.
STRENGTH = {"spike": (15, 40), "jump": (12, 30), "drift": (30, 60)}
# Least and greatest length in seconds.
LENGTH = {
    "spike": (10, 30),
    "jump": (1200, 3000),
    "drift": (2400, 5400),
    "stuck": (1800, 3600),
    "range": (60, 600),
    "silent": (1200, 2400),
}


class Sensor:
    def __init__(self, rng, device, metric):
        mean, spread, swing, wander, noise, low, high, step, *_ = METRICS[metric]
        self.device, self.metric, self.low, self.high, self.step = device, metric, low, high, step
        self.mean = mean + rng.uniform(-spread, spread)
        self.swing = swing * rng.uniform(0.7, 1.3)
        self.phase = rng.uniform(0, 2 * math.pi)
        self.noise = noise * rng.uniform(0.8, 1.2)
        self.wander_step = wander * 0.02
        self.wander = 0.0
        self.decimals = max(0, -int(math.floor(math.log10(step))))
        self.rests = []  # (start, end): the machine runs at half load
        self.setpoints = []  # (time, shift): small steps that are no incident
        self.incidents = []
        self.frozen = None

    def value(self, rng, at_ms, day_ms):
        """The value as displayed, or None while the sensor is silent."""
        self.wander = 0.999 * self.wander + rng.gauss(0.0, self.wander_step)
        value = self.mean + self.swing * math.sin(2 * math.pi * at_ms / day_ms + self.phase) + self.wander
        for at, shift in self.setpoints:
            if at_ms >= at:
                value += shift * min(1.0, (at_ms - at) / (600 * SECOND))
        for start, end in self.rests:
            ramp = 7200 * SECOND
            if start <= at_ms < end + ramp:
                depth = min(1.0, (at_ms - start) / ramp, max(0.0, (end + ramp - at_ms) / ramp))
                value -= 1.5 * self.swing * depth
        value += rng.gauss(0.0, self.noise)
        value = round(round(value / self.step) * self.step, self.decimals)
        return self.disturbed(at_ms, value)

    def disturbed(self, at_ms, value):
        for incident in self.incidents:
            if not incident["start_ms"] <= at_ms < incident["end_ms"]:
                continue
            kind, size = incident["kind"], incident["size"]
            if kind == "silent":
                return None
            if kind == "stuck":
                self.frozen = value if self.frozen is None else self.frozen
                return self.frozen
            if kind == "range":
                return size
            share = 1.0
            if kind == "drift":
                share = (at_ms - incident["start_ms"]) / (incident["end_ms"] - incident["start_ms"])
            return round(value + size * share, self.decimals)
        self.frozen = None
        return value


def plan_incidents(rng, sensors, day_ms, per_kind):
    """Spreads incidents over sensors so that two on one sensor are at least two hours apart."""
    for kind in KINDS:
        for _ in range(per_kind):
            for _attempt in range(200):
                sensor = rng.choice(sensors)
                length = rng.randint(*LENGTH[kind]) * SECOND
                start = rng.randint(3600 * SECOND, max(3600 * SECOND, day_ms - length - 1800 * SECOND))
                gap = 7200 * SECOND
                if all(start + length + gap < i["start_ms"] or i["end_ms"] + gap < start for i in sensor.incidents):
                    break
            else:
                continue
            start -= start % (10 * SECOND)
            length -= length % (10 * SECOND)
            size = 0.0
            if kind in STRENGTH:
                size = rng.choice([-1, 1]) * rng.uniform(*STRENGTH[kind]) * sensor.noise
            if kind == "range":
                size = rng.choice([-999.0, sensor.high * 1.5])
            sensor.incidents.append({"kind": kind, "start_ms": start, "end_ms": start + length, "size": size})


def plan_sensors(rng, count, day_ms):
    sensors, metrics = [], list(METRICS)
    for index in range(count):
        sensor = Sensor(rng, "north-press-%02d" % (index // len(metrics) + 1), metrics[index % len(metrics)])
        if index // len(metrics) % 3 == 2:  # every third machine, in the evening
            sensor.rests.append((int(day_ms * 0.80), int(day_ms * 0.90)))
        for _ in range(rng.randint(0, 2)):
            sensor.setpoints.append((rng.randint(0, day_ms), rng.choice([-1, 1]) * rng.uniform(2, 5) * sensor.noise))
        sensors.append(sensor)
    if count > 4:  # one display shows coarse steps only
        coarse = sensors[4]
        coarse.step, coarse.decimals = 0.5, 1
    return sensors


def iso(at_ms):
    at = START + datetime.timedelta(milliseconds=at_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at_ms % 1000)


def line_of(form, at_ms, device, metric, value):
    if form == "csv":
        return "%s,%s,%s,%s" % (iso(at_ms), device, metric, value)
    return '{"ts":"%s","device":"%s","metric":"%s","value":%s}' % (iso(at_ms), device, metric, value)


def malformed(rng, line):
    """A reading as a bad link or a broken firmware would leave it."""
    choice = rng.randrange(5)
    if choice == 0:
        return line[: rng.randint(5, len(line) - 5)]
    if choice == 1:
        return line.replace("T", "?", 1)
    if choice == 2:
        return line.replace('"value":', '"value":n/a', 1) if '"value":' in line else line + "x"
    if choice == 3:
        return "#" * rng.randint(1, 40)
    return line.replace('"device"', '"d\x01vice"', 1) if '"device"' in line else line.replace(",", ";")


def write_devices(path, sensors):
    with open(path, "w", newline="\n") as out:
        out.write("device,metric,site,unit,scale,offset,line,model\n")
        for index, sensor in enumerate(sensors):
            *_, unit, scale, offset = METRICS[sensor.metric]
            site = '"Hall %s, north"' % "AB"[index // 24 % 2]
            line = 'line-%d' % (index // 16 % 3 + 1)
            model = '"PX ""%d"""' % (100 + index // 4 % 3 * 50)
            out.write(",".join([sensor.device, sensor.metric, site, unit, "%g" % scale, "%g" % offset, line, model]))
            out.write("\n")


def readings(args, rng, sensors, day_ms, counts):
    """Yields (now, time of arrival, line), now growing. Devices send in turn, each at its own moment of the interval."""
    interval_ms = int(args.interval * SECOND)
    offsets = [rng.randrange(interval_ms) for _ in sensors]
    steps = itertools.count() if args.readings else range(int(args.hours * 3600 * SECOND) // interval_ms)
    order = sorted(range(len(sensors)), key=lambda i: offsets[i])
    made = 0
    for step in steps:
        for index in order:
            sensor, at_ms = sensors[index], step * interval_ms + offsets[index]
            value = sensor.value(rng, at_ms, day_ms)
            if value is None:
                continue
            if args.readings and made >= args.readings:
                return
            made += 1
            chance, arrival = rng.random(), at_ms + rng.randrange(400)
            line = line_of(args.format, at_ms, sensor.device, sensor.metric, value)
            if chance < args.malformed:
                counts["malformed"] += 1
                line = malformed(rng, line)
            elif chance < args.malformed + args.late:
                counts["late"] += 1
                arrival += rng.randint(20, 1200) * SECOND
            yield at_ms, arrival, line
            if rng.random() < args.unknown and not (args.readings and made >= args.readings):
                made += 1
                counts["unknown"] += 1
                yield at_ms, arrival, line_of(args.format, at_ms, "visitor-%d" % rng.randint(1, 2), "temperature", 21.5)


def write_readings(path, form, stream):
    """In the order of arrival; late ones wait in a heap that stays small."""
    waiting, number = [], 0
    with open(path, "w", newline="\n") as out:
        if form == "csv":
            out.write("ts,device,metric,value\n")
        for now, arrival, line in stream:
            while waiting and waiting[0][0] <= now:
                out.write(heapq.heappop(waiting)[2] + "\n")
            heapq.heappush(waiting, (arrival, number, line))
            number += 1
        while waiting:
            out.write(heapq.heappop(waiting)[2] + "\n")
    return number


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="folder for readings, labels and device table")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sensors", type=int, default=48)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two readings of a sensor")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--readings", type=int, default=0, help="stop after so many readings instead of --hours")
    parser.add_argument("--incidents", type=int, default=5, help="of each kind")
    parser.add_argument("--format", choices=["json", "csv"], default="json")
    parser.add_argument("--malformed", type=float, default=0.0001, help="share of lines that are broken")
    parser.add_argument("--late", type=float, default=0.0005, help="share of readings that come 20 s to 20 min late")
    parser.add_argument("--unknown", type=float, default=0.0002, help="share of readings of devices nobody knows")
    return parser.parse_args()


def main():
    args = parse_arguments()
    rng = random.Random(args.seed)
    span_ms = int(args.hours * 3600 * SECOND)
    if args.readings:
        span_ms = int(args.readings / args.sensors * args.interval * SECOND)
    sensors = plan_sensors(rng, args.sensors, 24 * 3600 * SECOND)
    plan_incidents(rng, sensors, span_ms, args.incidents)
    os.makedirs(args.out, exist_ok=True)
    counts = {"malformed": 0, "late": 0, "unknown": 0}
    name = "readings.csv" if args.format == "csv" else "readings.jsonl"
    stream = readings(args, rng, sensors, 24 * 3600 * SECOND, counts)
    total = write_readings(os.path.join(args.out, name), args.format, stream)
    write_devices(os.path.join(args.out, "devices.csv"), sensors)
    incidents = [
        {"device": s.device, "metric": s.metric, "kind": i["kind"], "start": iso(i["start_ms"]), "end": iso(i["end_ms"])}
        for s in sensors
        for i in s.incidents
    ]
    incidents.sort(key=lambda i: i["start"])
    with open(os.path.join(args.out, "labels.json"), "w", newline="\n") as out:
        json.dump({"seed": args.seed, "lines": total, **counts, "incidents": incidents}, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
