"""A memory cgroup of its own for one run, of version 1 or 2, whichever the machine has and allows to make."""
import os
import pathlib


class MemoryGroup:
    """Limits what is started with `enter`. `kind` is "cgroup v1", "cgroup v2", or "" where none can be made; then
    `why` says why, and nothing is limited."""

    def __init__(self, limit_bytes):
        self.limit_bytes = limit_bytes
        self.kind = self.why = ""
        self.path = None
        for version, parent in (("v2", self.parent_v2()), ("v1", self.parent_v1())):
            if parent is None:
                continue
            try:
                self.make(version, parent)
                return
            except OSError as error:
                self.why = f"{parent}: {error.strerror}"
                self.close()
        self.why = self.why or "the memory controller is mounted nowhere"

    @staticmethod
    def own_group(controller):
        """The group this process is in, of a version 1 controller, or of version 2 (empty name)."""
        for line in pathlib.Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controller in controllers.split(",") or (not controller and not controllers):
                return group.lstrip("/")
        return None

    @staticmethod
    def mounts(kind, option=""):
        for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _, where, found, options = line.split()[:4]
            if found == kind and (not option or option in options.split(",")):
                yield pathlib.Path(where)

    def parent_v1(self):
        group = self.own_group("memory")
        return next((where / group for where in self.mounts("cgroup", "memory")), None) if group is not None else None

    def parent_v2(self):
        """The nearest group from the own one upwards whose children may have the controller."""
        group = self.own_group("")
        for where in self.mounts("cgroup2"):
            place = where / (group or "")
            while True:
                try:
                    if "memory" in (place / "cgroup.subtree_control").read_text(encoding="utf-8").split():
                        return place
                except OSError:
                    pass
                if place == where:
                    break
                place = place.parent
        return None

    def make(self, version, parent):
        self.kind = "cgroup " + version
        path = parent / f"torvyn-bench-{os.getpid()}"
        path.mkdir()
        self.path = path
        if version == "v2":
            self.write("memory.max", self.limit_bytes)
            self.write("memory.swap.max", 0, optional=True)
        else:
            self.write("memory.limit_in_bytes", self.limit_bytes)
            self.write("memory.memsw.limit_in_bytes", self.limit_bytes, optional=True)

    def write(self, name, value, optional=False):
        try:
            (self.path / name).write_text(str(value), encoding="utf-8")
        except OSError:
            if not optional:
                raise

    def enter(self):
        """For preexec_fn: the calling process joins."""
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")

    def kills(self):
        """How often the kernel ended something here for lack of memory."""
        name = "memory.events" if self.kind.endswith("v2") else "memory.oom_control"
        for line in (self.path / name).read_text(encoding="utf-8").splitlines() if self.path else ():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def used_bytes(self):
        """Now, page tables and other memory of the kernel included; 0 without a group."""
        return self.number("memory.current" if self.kind.endswith("v2") else "memory.usage_in_bytes")

    def peak_bytes(self):
        return self.number("memory.peak" if self.kind.endswith("v2") else "memory.max_usage_in_bytes")

    def number(self, name):
        try:
            return int((self.path / name).read_text(encoding="utf-8"))
        except (OSError, TypeError):
            return 0

    def close(self):
        """Everything that joined must have ended."""
        path, self.path, self.kind = self.path, None, ""
        if path:
            path.rmdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
