"""What the benchmark programs share: figures as lines and in bench.json, and how the machine does meanwhile."""
import json
import os
import sys


class Figures:
    def __init__(self):
        self.values = {}

    def add(self, name, value, unit):
        self.values[name] = {"value": value, "unit": unit}
        print(f"{name} {value:.6g} {unit}" if isinstance(value, float) else f"{name} {value} {unit}")
        sys.stdout.flush()

    def add_lines(self, text):
        """Takes lines "name value unit", as the programs print them; a count has no unit."""
        for line in text.splitlines():
            name, value, *unit = line.split()
            self.add(name, float(value) if "." in value else int(value), " ".join(unit))

    def judge(self, limits):
        """Says which figures are outside what the project aims at (at most; negative: at least; a pair: between); on
        a busy machine that can be the machine."""
        for name, limit in limits.items():
            if name not in self.values:
                continue
            value = self.values[name]["value"]
            if isinstance(limit, tuple):
                outside, aim = not limit[0] <= value <= limit[1], f"from {limit[0]} to {limit[1]}"
            elif limit < 0:
                outside, aim = value < -limit, f"at least {-limit}"
            else:
                outside, aim = value > limit, f"at most {limit}"
            if outside:
                progress(f"{name}: {value:.6g}, the aim is {aim}")

    def write(self, target, keep):
        """To bench.json; `keep`: beside the figures of other programs that it has."""
        if keep and target.exists():
            self.values = {**json.loads(target.read_text()), **self.values}
        target.write_text(json.dumps(self.values, indent=2) + "\n")
        progress(f"written to {os.path.relpath(target)}")


def progress(text):
    print(f"# {text}", file=sys.stderr)
    sys.stderr.flush()


def machine_load():
    """Processes that wanted to run, averaged over the last minute."""
    return os.getloadavg()[0]


def resident_kib(pid):
    """0 if it has just ended."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmRSS:")), 0)


def proportional_kib(pid):
    """Resident, where a page that is mapped many times counts once; what a memory cgroup is charged."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def cpu_ticks(pid):
    """User and system time of the process, in clock ticks."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wake_ups(pid):
    """How often threads of the process have slept and come back."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches:"))
    return total
