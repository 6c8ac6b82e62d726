#!/usr/bin/env python3
"""Measures Torvyn through its own code paths and prints one figure a line: name value unit.

    bench/run.py --build build [--readings 1000000] [--rounds 5] [--only gateway]

Writes the same to BUILD/bench.json. Figures are medians over the rounds; ratios are taken pair by pair within one
round, since the speed of shared machines wanders. The gateway figures run the shipped pipeline file with
`torvyn run`, file to file, one worker.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from figures import Figures, progress, resident_kib

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMITS = {  # what the project aims at: at most so much, or, negative, at least
    "stage_record_ns": 30,
    "stage_single_ns": 80,
    "gateway_records_per_s": -1_000_000,
    "gateway_ewma_records_per_s": -2_000_000,
    "gateway_native_ratio": 2.5,
    "gateway_native_ratio_compact": 2.5,
    "wake_to_emit_us_p99": 200,
    "start_ms": 20,
    "executable_bytes": 14 * 1024 * 1024,
    "idle_rss_kib": 16384,
    "instance_engine_kib": 6,
    "sim_steps": -1_000_000,
}


def run_flow_bench(bench, figures, mode, *extra, component="identity"):
    module = bench.build / "bench" / f"{component}.wasm"
    lines = subprocess.run([bench.build / "bench" / "flow_bench", mode, module, *extra], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [(name, float(value), unit) for name, value, unit in (line.split() for line in lines)]


def stage_figures(bench, figures):
    progress("one stage, in the flow engine")
    for name, value, unit in run_flow_bench(bench, figures, "stage") + run_flow_bench(bench, figures, "single"):
        figures.add(name, value, unit)
    for name, value, unit in run_flow_bench(bench, figures, "stage", "compact"):
        figures.add(name + "_compact", value, unit)
    for name, value, unit in run_flow_bench(bench, figures, "stage", component="emitter"):
        figures.add(name + "_emit", value, unit)
    for mode in ("instance", "latency"):
        for name, value, unit in run_flow_bench(bench, figures, mode):
            figures.add(name, value, unit)


def torvyn_run(bench, pipeline, variables):
    command = [bench.torvyn, "run", pipeline, "--quiet", "--format", "json", "--workers", "1"]
    for name, value in variables.items():
        command += ["--set", f"{name}={value}"]
    begin = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=bench.scratch)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))} ended with {done.returncode}")
    report = json.loads(done.stdout)
    report["wall_s"] = time.monotonic() - begin
    if report["conservation"] != "kept":
        sys.exit("bench: the books do not balance")
    return report


def variables_of(bench, input_path, output_path, **more):
    return {"INPUT": input_path, "OUTPUT": output_path, "DEVICES": bench.data / "devices.csv",
            "COMPONENTS": bench.build / "examples" / "gateway", "DEAD_LETTERS": bench.scratch / "dead.jsonl",
            "OUTPUT_MODE": "truncate", **more}


def gateway_run(bench, pipeline, mode):
    output = bench.scratch / "uplink.jsonl"
    output.unlink(missing_ok=True)
    report = torvyn_run(bench, pipeline, variables_of(bench, bench.readings_file, output, MEMORY_MODE=mode))
    if not output.exists() or output.stat().st_size == 0:
        sys.exit("bench: the gateway pipeline wrote nothing")
    return report


def native_run(bench, pipeline):
    """The same component sources, compiled natively and called in order: CPU seconds for the same input."""
    output = bench.scratch / "native.jsonl"
    settings = [f"{name}={value}" for name, value in variables_of(bench, bench.readings_file, output).items()]
    done = subprocess.run([bench.build / "bench" / "gateway_native", pipeline, bench.readings_file, output,
                           bench.build / "bench", *settings], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[1])


def gateway_figures(bench, figures):
    shipped = ROOT / "examples" / "gateway" / "gateway.yaml"
    ewma = ROOT / "bench" / "gateway-ewma.yaml"
    progress(f"gateway pipeline, {bench.readings} readings, {bench.rounds} rounds")
    rates, ewma_rates, cpu, ratios, compact_ratios = [], [], [], [], []
    gateway_run(bench, shipped, "guard")  # compiles what is not yet in the module cache
    gateway_run(bench, shipped, "compact")
    for _ in range(bench.rounds):
        guard = gateway_run(bench, shipped, "guard")
        compact = gateway_run(bench, shipped, "compact")
        native_s = native_run(bench, shipped)
        rates.append(guard["records_per_s"])
        cpu.append(guard["cpu_s"] / guard["records_in"] * 1e9)
        ratios.append(guard["cpu_s"] / native_s)  # whole processes, all threads, file to file
        compact_ratios.append(compact["cpu_s"] / native_s)
        ewma_rates.append(gateway_run(bench, ewma, "guard")["records_per_s"])
    figures.add("gateway_records_per_s", statistics.median(rates), "records/s")
    figures.add("gateway_ewma_records_per_s", statistics.median(ewma_rates), "records/s")
    figures.add("gateway_cpu_ns_per_record", statistics.median(cpu), "ns")
    figures.add("gateway_native_ratio", statistics.median(ratios), "x")
    figures.add("gateway_native_ratio_compact", statistics.median(compact_ratios), "x")


def start_figures(bench, figures):
    progress("start and idle memory of the five-stage pipeline")
    small = bench.scratch / "start.jsonl"
    with open(bench.readings_file, "rb") as source:
        small.write_bytes(b"".join(source.readline() for _ in range(64)))
    pipeline = ROOT / "examples" / "gateway" / "gateway.yaml"
    variables = variables_of(bench, small, bench.scratch / "start-out.jsonl")
    torvyn_run(bench, pipeline, variables)
    starts = [torvyn_run(bench, pipeline, variables)["start_ms"] for _ in range(max(bench.rounds, 11))]
    figures.add("start_ms", statistics.median(starts), "ms")


def idle_figures(bench, figures):
    """The shipped pipeline following a file that has a few readings and no more, two seconds after its last record."""
    source = bench.scratch / "idle.jsonl"
    with open(bench.readings_file, "rb") as readings:
        source.write_bytes(b"".join(readings.readline() for _ in range(1000)))
    command = [bench.torvyn, "run", ROOT / "examples" / "gateway" / "gateway.yaml", "--quiet", "--workers", "1"]
    for name, value in variables_of(bench, source, bench.scratch / "idle-out.jsonl", MODE="follow").items():
        command += ["--set", f"{name}={value}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=bench.scratch)
    time.sleep(2)
    if process.poll() is not None:
        sys.exit("bench: the idle pipeline ended by itself")
    figures.add("idle_rss_kib", resident_kib(process.pid), "KiB")
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


def size_figures(bench, figures):
    stripped = bench.scratch / "torvyn.stripped"
    subprocess.run(["strip", "-o", stripped, bench.torvyn], check=True)
    figures.add("executable_bytes", stripped.stat().st_size, "bytes")


def make_data(bench):
    bench.data.mkdir(parents=True, exist_ok=True)
    mark = bench.data / f"made-{bench.readings}"
    if mark.exists():
        return
    progress(f"writing {bench.readings} readings (once)")
    subprocess.run([sys.executable, ROOT / "examples" / "gateway" / "simulate.py", "--out", bench.data, "--readings",
                    str(bench.readings)], check=True, stdout=subprocess.DEVNULL)
    mark.touch()


def simulation_figures(bench, figures):
    progress("the simulation of the flow runtime: steps within a minute")
    subprocess.run(["cmake", "--build", bench.build, "--target", "simulation"], check=True, stdout=subprocess.DEVNULL)
    began = time.monotonic()
    lines = subprocess.run([bench.build / "tests" / "simulation" / "simulation", "--suite", "2000000"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.splitlines()
    steps = int(lines[-1].split()[1])
    figures.add("sim_steps", int(steps * min(1, 60 / (time.monotonic() - began))), "steps")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--readings", default=1_000_000, type=int)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--only", choices=["size", "stage", "gateway", "start", "idle", "simulation"])
    bench = parser.parse_args()
    bench.build = bench.build.resolve()
    bench.torvyn = bench.build / "torvyn"
    bench.data = bench.build / "bench-data"
    bench.readings_file = bench.data / "readings.jsonl"
    bench.scratch = pathlib.Path(tempfile.mkdtemp(prefix="torvyn-bench-"))
    os.environ["TORVYN_RUNTIME_DIR"] = str(bench.scratch / "control")  # whatever else of that name runs here
    figures = Figures()
    steps = {"size": size_figures, "stage": stage_figures, "gateway": gateway_figures, "start": start_figures,
             "idle": idle_figures, "simulation": simulation_figures}
    try:
        make_data(bench)
        for name, step in steps.items():
            if bench.only in (None, name):
                step(bench, figures)
    finally:
        shutil.rmtree(bench.scratch, ignore_errors=True)
    figures.write(bench.build / "bench.json", keep=True)
    figures.judge(LIMITS)


if __name__ == "__main__":
    main()
