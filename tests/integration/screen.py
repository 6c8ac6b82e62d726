"""A terminal for tests: a program runs in a pty, and what it writes becomes lines of a screen.

Understands what ncurses sends for xterm and the like. An unknown sequence is an error, so that nothing is misread.
"""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time

CSI = re.compile(rb"\x1b\[([?>]?)([0-9;]*)([@-~])")


class Screen:
    def __init__(self, lines, columns):
        self.lines, self.columns = lines, columns
        self.cells = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0
        self.top, self.bottom = 0, lines - 1
        self.alternate = False
        self.cursor_shown = True
        self.rest = b""

    def text(self):
        return ["".join(row).rstrip() for row in self.cells]

    def resize(self, lines, columns):
        self.cells = [(row + [" "] * columns)[:columns] for row in self.cells][:lines]
        self.cells += [[" "] * columns for _ in range(lines - len(self.cells))]
        self.lines, self.columns = lines, columns
        self.top, self.bottom = 0, lines - 1
        self.row, self.column = min(self.row, lines - 1), min(self.column, columns - 1)

    def feed(self, data):
        data = self.rest + data
        at = 0
        while at < len(data):
            used = self.step(data, at)
            if used == 0:  # cut within a sequence
                break
            at += used
        self.rest = data[at:]

    def step(self, data, at):
        byte = data[at]
        if byte == 0x1B:
            return self.escape(data, at)
        if byte >= 0x80:
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            if len(data) - at < size:
                return 0
            self.put(data[at : at + size].decode())
            return size
        if byte >= 0x20:
            self.put(chr(byte))
        elif byte == 0x0D:
            self.column = 0
        elif byte == 0x0A:
            self.line_feed()
        elif byte == 0x08:
            self.column = max(0, self.column - 1)
        elif byte == 0x09:
            self.column = min(self.columns - 1, (self.column // 8 + 1) * 8)
        elif byte not in (0x07, 0x0E, 0x0F):
            raise AssertionError(f"control character {byte:#x}")
        return 1

    def escape(self, data, at):
        if len(data) - at < 2:
            return 0
        kind = data[at + 1 : at + 2]
        if kind in b"()":
            return 3 if len(data) - at >= 3 else 0
        if kind in b"=>78":
            return 2
        if kind == b"M":
            if self.row == self.top:
                self.scroll(-1)
            else:
                self.row -= 1
            return 2
        match = CSI.match(data, at)
        if not match:
            if kind == b"[" and re.fullmatch(rb"\x1b\[[?>]?[0-9;]*", data[at:]):
                return 0
            raise AssertionError(f"unknown sequence {data[at:at + 12]!r}")
        prefix, numbers, final = match.groups()
        self.control(prefix, [int(n) if n else 0 for n in numbers.split(b";")], final.decode())
        return match.end() - at

    def put(self, character):
        if self.column >= self.columns:
            self.column = 0
            self.line_feed()
        self.cells[self.row][self.column] = character
        self.column += 1
        self.last = character

    def line_feed(self):
        if self.row == self.bottom:
            self.scroll(1)
        else:
            self.row = min(self.row + 1, self.lines - 1)

    def scroll(self, count):
        empty = [" "] * self.columns
        for _ in range(abs(count)):
            if count > 0:
                del self.cells[self.top]
                self.cells.insert(self.bottom, list(empty))
            else:
                del self.cells[self.bottom]
                self.cells.insert(self.top, list(empty))

    def blank(self, row, begin, end):
        self.cells[row][begin:end] = [" "] * (end - begin)

    def control(self, prefix, numbers, final):
        n = max(1, numbers[0])
        if prefix == b"?":
            self.mode(numbers, final)
        elif prefix or final in "mtcqn":
            pass
        elif final in "Hf":
            self.row = min(n, self.lines) - 1
            self.column = min(max(1, (numbers + [1])[1]), self.columns) - 1
        elif final == "G":
            self.column = min(n, self.columns) - 1
        elif final == "d":
            self.row = min(n, self.lines) - 1
        elif final in "ABCD":
            self.row = min(max(self.row + {"A": -n, "B": n}.get(final, 0), 0), self.lines - 1)
            self.column = min(max(self.column + {"C": n, "D": -n}.get(final, 0), 0), self.columns - 1)
        elif final == "J":
            self.erase_screen(numbers[0])
        elif final == "K":
            begin, end = [(self.column, self.columns), (0, self.column + 1), (0, self.columns)][numbers[0]]
            self.blank(self.row, begin, end)
        elif final == "X":
            self.blank(self.row, self.column, min(self.column + n, self.columns))
        elif final == "@":
            row = self.cells[self.row]
            self.cells[self.row] = (row[: self.column] + [" "] * n + row[self.column :])[: self.columns]
        elif final == "P":
            row = self.cells[self.row]
            self.cells[self.row] = (row[: self.column] + row[self.column + n :] + [" "] * n)[: self.columns]
        elif final == "b":
            for _ in range(n):
                self.put(self.last)
        elif final == "r":
            self.top = n - 1
            self.bottom = (numbers + [0])[1] - 1 if (numbers + [0])[1] else self.lines - 1
            self.row = self.column = 0
        elif final in "ST":
            self.scroll(n if final == "S" else -n)
        elif final in "LM":
            top, self.top = self.top, self.row
            self.scroll(-n if final == "L" else n)
            self.top = top
        elif final not in "hl":
            raise AssertionError(f"unknown sequence CSI {numbers} {final}")

    def erase_screen(self, what):
        if what == 0:
            self.blank(self.row, self.column, self.columns)
        for row in range(self.row + 1 if what == 0 else 0, self.lines):
            self.blank(row, 0, self.columns)

    def mode(self, numbers, final):
        if 1049 in numbers:
            self.alternate = final == "h"
            self.cells = [[" "] * self.columns for _ in range(self.lines)]
        if 25 in numbers:
            self.cursor_shown = final == "h"


class Terminal:
    """A program in a pty of a given size."""

    def __init__(self, command, lines=24, columns=80, deadline_s=30, **options):
        self.deadline_s = deadline_s
        self.screen = Screen(lines, columns)
        self.master, self.slave = os.openpty()
        self.set_size(lines, columns)
        self.modes_before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE,
                                        start_new_session=True, **options)

    def set_size(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, lines, columns, signal_number):
        self.set_size(lines, columns)
        self.screen.resize(lines, columns)
        self.process.send_signal(signal_number)

    def type(self, keys):
        os.write(self.master, keys if isinstance(keys, bytes) else keys.encode())

    def read(self, wait_s):
        readable, _, _ = select.select([self.master], [], [], wait_s)
        if readable:
            self.screen.feed(os.read(self.master, 65536))
        return bool(readable)

    def is_waiting(self):
        """Whether the program sleeps and everything it wrote has been read: then the screen is whole."""
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
                sleeps = stat.read().rpartition(")")[2].split()[0] == "S"
        except (FileNotFoundError, ProcessLookupError):
            return True
        return sleeps and not self.read(0)

    def wait_for(self, condition, what):
        """Reads until the lines of a whole screen fulfil the condition; returns them."""
        end = time.monotonic() + self.deadline_s
        while not (condition(self.screen.text()) and self.is_waiting() and condition(self.screen.text())):
            if time.monotonic() > end or (self.process.poll() is not None and not self.read(0)):
                raise AssertionError(f"never seen: {what}\n" + "\n".join(self.screen.text()))
            self.read(0.05)
        return self.screen.text()

    def wait_for_text(self, text):
        return self.wait_for(lambda lines: any(text in line for line in lines), repr(text))

    def end(self):
        """Waits for the program's end; returns its exit code and what it said on standard error."""
        end = time.monotonic() + self.deadline_s
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError("it never ended\n" + "\n".join(self.screen.text()))
            self.read(0.02)
        while self.read(0):
            pass
        return self.process.returncode, self.process.stderr.read().decode()

    def modes(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)
