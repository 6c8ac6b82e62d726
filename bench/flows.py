#!/usr/bin/env python3
"""Measures many flows on one small machine and prints one figure a line: name value unit.

    bench/flows.py --build build [--only share|latency|backlog|cost|state|idle|density|shared|sim] [--seconds 3]
    bench/flows.py --build build --soak 180    1,000 flows at full load in 512 MB for so many seconds, and nothing else

Writes the same to BUILD/bench.json, beside what is there. What is compared is compared within one run: shares of
records under the scheduler, latencies beside and without load, CPU time a record with one flow and with thousands.
The machine's load is stated before and after; on a machine that does other things latencies mean little.

Density: the pipeline many.yaml through `torvyn run`, with overcommit, in a memory cgroup of 512 MB; each flow processes
a quantum, at some moment within 1 ms times their number, and goes idle. Where no cgroup can be made that is said, and
what the process has of the resident pages (PSS) is held against the limit.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from figures import Figures, cpu_ticks, machine_load, progress, proportional_kib, resident_kib, wake_ups
from memory_group import MemoryGroup

ROOT = pathlib.Path(__file__).resolve().parent.parent
MIB = 1 << 20
LIMITS = {
    "critical_normal_ratio": (3.8, 4.2),
    "critical_normal_ratio_5us": (3.8, 4.2),
    "critical_normal_ratio_2ms_calls": -3.6,
    "critical_backlog_share": -0.95,
    "critical_backlog_p99_us": 5000,
    "critical_neighbour_p99_us": 20000,
    "class_records_least_per_s": -1,
    "critical_p99_us_busy": 3000,
    "critical_p99_us_spin": 3000,
    "cost_ratio_3000_flows": 2,
    "flow_state_bytes": 4096,
    "flow_hot_bytes": 1024,
    "idle_flow_rss_kib": 96,
    "flows_in_512mb": -3000,
    "shared_flows_in_256mb": -10000,
    "idle_wakeups_per_s": 5,
    "sim_steps": -1_000_000,
}
SPREAD_S_PER_FLOW = 0.001  # the readings of thousands of machines do not all come in the same moment
PAYLOAD_BYTES, PREFIX_BYTES = 256, 4  # of a message on standard output


# ---- scheduler: the flow engine without connectors ---------------------------------------------------------------


def run_fair_bench(bench, figures, mode):
    command = [bench.build / "bench" / "fair_bench", mode, bench.components / "pump.wasm",
               bench.components / "work.wasm", str(bench.seconds)]
    figures.add_lines(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def share_figures(bench, figures):
    progress("share of each class, saturated, on one worker")
    run_fair_bench(bench, figures, "share")


def latency_figures(bench, figures):
    progress("latency of a Critical flow of three stages beside Normal flows on one worker")
    run_fair_bench(bench, figures, "latency")


def backlog_figures(bench, figures):
    progress("a Critical flow of 5,000 records/s beside slow, many and failing flows on one worker")
    run_fair_bench(bench, figures, "backlog")


def cost_figures(bench, figures):
    progress("CPU time a record: 3,000 active flows against one")
    run_fair_bench(bench, figures, "cost")


# ---- whole pipelines ---------------------------------------------------------------------------------------------


class Run:
    """`torvyn run` of many.yaml. Standard output is read and counted as it comes."""

    def __init__(self, bench, group=None, **variables):
        variables = {"COMPONENTS": bench.components, "DEAD_LETTERS": bench.scratch / "dead.jsonl", **variables}
        self.expected = int(variables["FLOWS"]) * int(variables["BURST"]) * (PREFIX_BYTES + PAYLOAD_BYTES)
        self.received = 0
        self.errors = open(bench.scratch / "run.log", "w+", encoding="utf-8")
        command = [bench.torvyn, "run", ROOT / "bench" / "many.yaml", "--format", "json", "--log-level", "warn"]
        for name, value in variables.items():
            command += ["--set", f"{name}={value}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, cwd=bench.scratch,
                                        preexec_fn=group.enter if group else None)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while data := os.read(self.process.stdout.fileno(), 1 << 20):
            self.received += len(data)

    def has_ended(self):
        return self.process.poll() is not None

    def wait_until_delivered(self, deadline_s=120):
        end = time.monotonic() + deadline_s
        while self.received < self.expected and not self.has_ended() and time.monotonic() < end:
            time.sleep(0.05)
        return self.received >= self.expected and not self.has_ended()

    def wait_until_idle(self, deadline_s=60):
        """Until it has used no CPU time worth mentioning for as long as idle memory is kept, and a second more."""
        quiet_s, end = 3.5, time.monotonic() + deadline_s
        since, ticks = time.monotonic(), cpu_ticks(self.process.pid)
        while time.monotonic() - since < quiet_s and time.monotonic() < end and not self.has_ended():
            time.sleep(0.25)
            now = cpu_ticks(self.process.pid)
            if now > ticks + 1:
                since = time.monotonic()
            ticks = now

    def stop(self):
        """Drains it; returns its summary, or None if there is none."""
        if not self.has_ended():
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=120)
        self.reader.join()
        self.errors.seek(0)
        self.said = self.errors.read()
        self.errors.close()
        begin = self.said.find("{\n")
        try:
            return json.loads(self.said[begin:]) if begin >= 0 else None
        except json.JSONDecodeError:
            return None

    def kill(self):
        if not self.has_ended():
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.errors.close()


def held_when_idle(bench, flows, **variables):
    """KiB that so many flows hold, idle, after a quantum each: what a memory cgroup counts, or else their share of
    what is resident. Not the resident size, which has pages that instances share once for each of them."""
    with MemoryGroup(64 << 30) as group:
        run = Run(bench, group, FLOWS=flows, BURST=32, MEMORY="64GiB", **variables)
        try:
            if not run.wait_until_delivered():
                sys.exit(f"bench: {flows} flows delivered {run.received} of {run.expected} bytes")
            run.wait_until_idle()
            return group.used_bytes() / 1024 if group.kind else proportional_kib(run.process.pid)
        finally:
            run.kill()


def state_figures(bench, figures):
    """What the runtime says it holds for a flow of five stages with its two channels."""
    done = subprocess.run([bench.build / "bench" / "fair_bench", "state", bench.components / "pump.wasm",
                           bench.components / "work.wasm"], stdout=subprocess.PIPE, text=True, check=True)
    figures.add_lines(done.stdout)


def held_kib(group, process):
    return group.used_bytes() // 1024 if group.kind else proportional_kib(process.pid)


def try_flows(bench, flows, limit_bytes, **variables):
    """Whether so many flows process a quantum each and go idle within the limit. (fits, most KiB, why not)"""
    with MemoryGroup(limit_bytes) as group:
        run = Run(bench, group, FLOWS=flows, BURST=32, SPREAD=f"{max(1, int(flows * SPREAD_S_PER_FLOW))}s",
                  MEMORY=f"{limit_bytes // MIB}MiB", **variables)
        try:
            peak_kib, delivered = 0, False
            end = time.monotonic() + 120
            while not run.has_ended() and not delivered and time.monotonic() < end:
                delivered = run.received >= run.expected
                peak_kib = max(peak_kib, held_kib(group, run.process))
                time.sleep(0.05 if group.kind else 1)
            if delivered:
                run.wait_until_idle()
            peak_kib = max(peak_kib, group.peak_bytes() // 1024)
            if run.has_ended():
                killed = run.process.returncode == -signal.SIGKILL
                run.stop()
                return False, peak_kib, "killed" if killed else run.said.strip().splitlines()[-1:]
            if not delivered:
                return False, peak_kib, "too slow"
            if not group.kind and peak_kib * 1024 > limit_bytes:
                return False, peak_kib, "over the limit"
            return not group.kills(), peak_kib, ""
        finally:
            run.kill()


def is_admitted(bench, flows, limit_bytes, variables):
    command = [bench.torvyn, "plan", ROOT / "bench" / "many.yaml"]
    for name, value in {"COMPONENTS": bench.components, "FLOWS": flows, "MEMORY": f"{limit_bytes // MIB}MiB",
                        **variables}.items():
        command += ["--set", f"{name}={value}"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def bisect(low, high, fits):
    """The largest number that fits, to one per cent. `low` fits (or is 0), `high` does not."""
    while high - low > max(low // 100, 10):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def largest(bench, what, limit_bytes, **variables):
    """The largest number of flows that fits: as many as are admitted, or else less until a run with them ends well."""
    flows = bisect(0, 100_000, lambda flows: is_admitted(bench, flows, limit_bytes, variables))
    fits = False
    while flows > 0 and not fits:
        fits, peak_kib, why = try_flows(bench, flows, limit_bytes, **variables)
        progress(f"{what}: {flows} flows {'fit' if fits else 'do not fit'}, {peak_kib // 1024} MiB at most {why}")
        if not fits:
            flows = flows * 19 // 20
    return flows


def say_group(limit_bytes):
    with MemoryGroup(limit_bytes) as group:
        if group.kind:
            progress(f"limited to {limit_bytes // MIB} MiB by a memory {group.kind}")
            return group.kind
        progress(f"NO MEMORY CGROUP ({group.why}): limits.memory and the measured PSS instead")
        return ""


def density_figures(bench, figures):
    progress("memory of idle flows of five stages, each after a quantum")
    few, many = 100, 1100
    held_when_idle(bench, 1)  # compiles what is not in the cache yet
    idle_kib = (held_when_idle(bench, many) - held_when_idle(bench, few)) / (many - few)
    figures.add("idle_flow_rss_kib", idle_kib, "KiB")
    suffix = "" if say_group(512 * MIB) else "_by_pss"
    figures.add("flows_in_512mb" + suffix, largest(bench, "512 MB", 512 * MIB), "flows")


def shared_figures(bench, figures):
    suffix = "" if say_group(256 * MIB) else "_by_pss"
    figures.add("shared_flows_in_256mb" + suffix,
                largest(bench, "256 MB, shared instances", 256 * MIB, INSTANCES="shared"), "flows")


def idle_figures(bench, figures):
    """The shipped gateway following a file, ten seconds after its last record; wake-ups of all threads."""
    window_s = 10
    source = bench.scratch / "idle.jsonl"
    source.write_text('{"ts":"2026-01-01T00:00:00Z","device":"d","metric":"m","value":1}\n' * 1000, encoding="utf-8")
    command = [bench.torvyn, "run", ROOT / "examples" / "gateway" / "gateway.yaml", "--quiet", "--workers", "1"]
    for name, value in {"INPUT": source, "OUTPUT": bench.scratch / "idle-out.jsonl", "MODE": "follow",
                        "OUTPUT_MODE": "truncate",
                        "DEVICES": ROOT / "examples" / "gateway" / "assets" / "devices.csv",
                        "COMPONENTS": bench.build / "examples" / "gateway",
                        "DEAD_LETTERS": bench.scratch / "idle-dead.jsonl"}.items():
        command += ["--set", f"{name}={value}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=bench.scratch)
    time.sleep(10)
    if process.poll() is not None:
        sys.exit("bench: the idle gateway ended by itself")
    before = wake_ups(process.pid)
    time.sleep(window_s)
    figures.add("idle_wakeups_per_s", (wake_ups(process.pid) - before) / window_s, "1/s")
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


# ---- soak --------------------------------------------------------------------------------------------------------


def soak(bench, figures, seconds):
    """1,000 flows of five stages at full load in 512 MB: nothing is killed, memory stays flat, the books balance."""
    limit_bytes = 512 * MIB
    kind = say_group(limit_bytes)
    with MemoryGroup(limit_bytes) as group:
        run = Run(bench, group, FLOWS=1000, BURST=0, MEMORY="512MiB", WORKERS=0)
        sizes = []
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end and not run.has_ended():
                time.sleep(1)
                if not run.has_ended():
                    sizes.append(resident_kib(run.process.pid))
                if len(sizes) % 30 == 0:
                    progress(f"{len(sizes)} s: {sizes[-1] // 1024} MiB resident, {run.received // MIB} MiB delivered")
            died = run.has_ended()
            report = run.stop()
            kills, peak = group.kills(), group.peak_bytes()
        finally:
            run.kill()
    if died or kills or not report:
        sys.exit(f"soak: ended by itself (exit code {run.process.returncode}, {kills} kills): {run.said[-2000:]}")
    settled = sizes[len(sizes) // 4:]
    growth = (max(settled[len(settled) // 2:]) - max(settled[:len(settled) // 2 or 1])) / max(settled)
    figures.add("soak_seconds", float(seconds), "s")
    figures.add("soak_records_per_s", report["records_out"] / report["elapsed_s"], "records/s")
    figures.add("soak_rss_mib", max(sizes) / 1024, "MiB")
    figures.add("soak_rss_growth_percent", 100 * growth, "%")
    if kind:
        figures.add("soak_cgroup_peak_mib", peak / MIB, "MiB")
    if report["conservation"] != "kept":
        sys.exit("soak: the books do not balance: " + report.get("conservation_error", ""))
    if growth > 0.02:
        sys.exit(f"soak: the resident size grew by {100 * growth:.1f} %: {sizes[::10]}")
    progress(f"soak: {len(report['flows'])} flows, all counters balanced, {report['faults']} faults")


def sim_figures(bench, figures):
    if not bench.simulation.exists():
        progress(f"no simulation: there is no {bench.simulation} (built with the tests)")
        return
    done = subprocess.run([bench.simulation, "--suite", "4000000"], stdout=subprocess.PIPE, text=True, check=True)
    figures.add_lines("\n".join(line for line in done.stdout.splitlines() if line.startswith("sim_steps ")))


def main():
    steps = {"share": share_figures, "latency": latency_figures, "backlog": backlog_figures, "cost": cost_figures, "state": state_figures,
             "idle": idle_figures, "density": density_figures, "shared": shared_figures, "sim": sim_figures}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--simulation", default="build/dev/tests/simulation/simulation", type=pathlib.Path)
    parser.add_argument("--seconds", default=3.0, type=float, help="of one window of the scheduler's figures")
    parser.add_argument("--only", choices=list(steps), action="append")
    parser.add_argument("--soak", type=int, metavar="SECONDS")
    bench = parser.parse_args()
    bench.build = bench.build.resolve()
    bench.torvyn = bench.build / "torvyn"
    bench.components = bench.build / "bench"
    bench.scratch = pathlib.Path(tempfile.mkdtemp(prefix="torvyn-bench-"))
    os.environ["TORVYN_RUNTIME_DIR"] = str(bench.scratch / "control")  # whatever else of that name runs here
    figures = Figures()
    progress(f"load of the machine before: {machine_load():.2f} on {os.cpu_count()} cores")
    try:
        if bench.soak:
            soak(bench, figures, bench.soak)
        for name, step in steps.items():
            if not bench.soak and (not bench.only or name in bench.only):
                step(bench, figures)
    finally:
        shutil.rmtree(bench.scratch, ignore_errors=True)
        progress(f"load of the machine after: {machine_load():.2f}")
        if figures.values:
            figures.write(bench.build / "bench.json", keep=True)
    figures.judge(LIMITS)


if __name__ == "__main__":
    main()
