#!/usr/bin/env python3
"""score.py: what counts as found, repeated, missed and false."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import score  # noqa: E402

INCIDENT = {"device": "d", "metric": "t", "kind": "spike", "start": "2026-03-01T00:10:00Z", "end": "2026-03-01T00:20:00Z"}


def alert(time, device="d", metric="t"):
    return {"time": "2026-03-01T%sZ" % time, "device": device, "metric": metric, "method": "ewma"}


class ScoreTest(unittest.TestCase):
    def counts(self, *alerts):
        result = score.compare([INCIDENT], list(alerts), 60)
        return tuple(len(result[key]) for key in ("found", "missed", "false")) + (result["repeats"],)

    def test_alert_inside_finds(self):
        self.assertEqual(self.counts(alert("00:10:00")), (1, 0, 0, 0))

    def test_alert_within_grace_finds(self):
        self.assertEqual(self.counts(alert("00:21:00")), (1, 0, 0, 0))

    def test_alert_before_or_behind_is_false(self):
        self.assertEqual(self.counts(alert("00:09:59"), alert("00:21:01")), (0, 1, 2, 0))

    def test_second_alert_is_a_repeat(self):
        self.assertEqual(self.counts(alert("00:11:00"), alert("00:12:00")), (1, 0, 0, 1))

    def test_another_sensor_is_false(self):
        self.assertEqual(self.counts(alert("00:11:00", metric="p"), alert("00:11:00", device="e")), (0, 1, 2, 0))

    def test_delay_counts_from_the_start(self):
        self.assertEqual(score.compare([INCIDENT], [alert("00:11:30")], 60)["found"][0]["delay"], 90)


if __name__ == "__main__":
    unittest.main()
