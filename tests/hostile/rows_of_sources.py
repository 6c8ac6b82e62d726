"""Rows for components without an input: what they do when they are pulled and by timers."""

from hostile import OUTPUT_LIMIT
from rows_of_records import DEEP, EMIT_MORE, MORE, SPIN, TRAP, row

COUNT = "(global $n (mut i32) (i32.const 0))"
NEXT = "(global.set $n (i32.add (global.get $n) (i32.const 1)))"
END = "(i32.const 0x20000000)"
TIMER = "(call $timer_set (i64.const 0))"


def brought_down(reason, **more):
    return {"state": "failed", "faults": {reason: 4}, "restarts": 3, "emitted": 0, **more}


ENDING = {
    "ticks": row({"emitted": 20}, more=COUNT, init=TIMER,
                 tick=f"{NEXT} (drop {TIMER}) (call $out (i32.const 0) (i32.const 1) (i32.const 0))",
                 pull=f"(select {END} (i32.const 0) (i32.ge_u (global.get $n) (i32.const 20)))"),
    # It does not stop at what it is asked for, only where there is no room.
    "pull-flood": row({"emitted": 50000}, more=COUNT, pull=f"""
        (loop $l
          (if (i32.ge_u (global.get $n) (i32.const 50000)) (then (return {END})))
          (if (call $out (i32.const 0) (i32.const 1) (i32.const 0)) (then (return (i32.const 0))))
          {NEXT} (br $l))
        (i32.const 0)"""),
    "close-flood": row({"emitted": 0, "faults": {"cpu": 1}}, pull=END, close="""
        (loop $l (drop (call $out (i32.const 0) (i32.const 8) (i32.const 0))) (br $l)) (i32.const 0)"""),
    "timer-in-close": row({"emitted": 0}, pull=END, tick="(i32.const 0)", close="""
        (call $fail_unless (i32.eq (call $timer_set (i64.const 0)) (i32.const -4))) (i32.const 0)"""),
    "reject-of-nothing": row({"emitted": 0}, pull=f"""
        (call $fail_unless (i32.eq (call $reject (i32.const 0) (i32.const 8)) (i32.const -4)))
        (call $fail_unless (i32.eq (call $forward (i32.const 0)) (i32.const -4))) {END}"""),
}

FAILING = {
    "trap-pull": row(brought_down("trap"), pull=TRAP),
    "spin-pull": row(brought_down("cpu"), pull=SPIN),
    "stack-pull": row(brought_down("stack"), pull=DEEP),
    "emit-then-trap": row(brought_down("trap"), pull="(drop (call $out (i32.const 0) (i32.const 8) (i32.const 0))) "
                          "unreachable"),
    "flood-pull": row(brought_down("cpu"), pull="""
        (loop $l (drop (call $out (i32.const 0) (i32.const 8) (i32.const 0))) (br $l)) (i32.const 0)"""),
    "more-and-end": row(brought_down("result"), pull="(i32.const 0x60000000)", resume="(i32.const 0)"),
    "count-from-pull": row(brought_down("result"), pull="(i32.const 3)"),
    "negative-pull": row(brought_down("result"), pull="(i32.const -1)"),
    "more-without-resume": row(brought_down("result"), pull=MORE),
    "more-without-output": row(brought_down("result"), pull=MORE, resume=MORE),
    "trap-tick": row(brought_down("trap"), init=TIMER, tick=TRAP, pull="(i32.const 0)"),
    "spin-tick": row(brought_down("cpu"), init=TIMER, tick=SPIN, pull="(i32.const 0)"),
    "stack-tick": row(brought_down("stack"), init=TIMER, tick=DEEP, pull="(i32.const 0)"),
    "more-for-ever-tick": row(brought_down("output", emitted=4 * OUTPUT_LIMIT), init=TIMER, tick=MORE, resume=EMIT_MORE,
                              pull="(i32.const 0)"),
    "result-tick": row(brought_down("result"), init=TIMER, tick=END, pull="(i32.const 0)"),
}

# These never end by themselves.
ENDLESS = {
    "timer-without-tick": row({}, init=f"(drop {TIMER}) (i32.const 0)", pull="(i32.const 0)"),
    "pull-nothing": row({}, pull="(i32.const 0)"),
    "pull-more": row({}, pull=MORE, resume=EMIT_MORE),
    "pull-always": row({}, pull="""
        (block (loop $l (br_if $l (i32.eqz (call $out (i32.const 0) (i32.const 8) (i32.const 0))))))
        (i32.const 0)"""),
    "tick-always": row({}, pull="(i32.const 0)", init=TIMER,
                       tick=f"(drop {TIMER}) (drop (call $out (i32.const 0) (i32.const 8) (i32.const 0))) (i32.const 0)"),
}
