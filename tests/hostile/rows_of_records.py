"""Rows for components that are fed with records: what they do, and what must come of it."""

from hostile import OUTPUT_LIMIT, RESTARTS, text_of

TRAP, SPIN, DEEP = "unreachable", "(call $spin)", "(call $deep (i32.const 0))"
MORE = "(i32.const 0x40000000)"


def row(expected, records=3, **more):
    """A row: `expected` goes to judge(); without an input of its own it gets so many records."""
    options = {name: more.pop(name) for name in ("grants", "input", "replaced", "options") if name in more}
    return {"text": text_of(**more), "input": "".join(f"{i}\n" for i in range(records)), "expected": expected, **options}


def fails(reason, count=3, **more):
    """Every record is a fault and a dead letter, and the flow ends all the same."""
    return {"faults": {reason: count}, "dead_lettered": count, "emitted": 0, "restarts": count, **more}


def passes(count=3, **more):
    return {"emitted": count, "dead_lettered": 0, "processed": count, **more}


def check(*conditions):
    """A record that traps unless all conditions hold, and is then handed on."""
    return " ".join(f"(call $fail_unless {condition})" for condition in conditions) + "(call $forward (i32.const 0))"


def answers(call, number):
    return f"(i32.eq {call} (i32.const {number}))"


def log_lines(count):
    """A record that logs so many lines of 1 KiB of zeros."""
    return f"""(local $n i32)
        (loop $l
          (call $log (i32.const 4) (i32.const 0) (i32.const 1024))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $n) (i32.const {count}))))
        (call $forward (i32.const 0))"""


NEVER_STARTS = {"state": "failed", "starts_failed": RESTARTS + 1, "popped": 0}
# In tv_resume, tv_tick and tv_close: one record more, and there is always another.
EMIT_MORE = "(drop (call $out (i32.const 0) (i32.const 8) (i32.const 0))) " + MORE
EMIT = "(call $emit (i32.const 1024))"

ENDING = {
    # ---- records at which the component fails ------------------------------------------------------------------
    "spin-process": row(fails("cpu"), record=SPIN),
    "spin-around-import": row(fails("cpu"), record="(loop $l (drop (call $counter (i32.const 0) (i32.const 0))) (br $l)) (i32.const 0)"),
    "spin-yield": row(fails("cpu"), record="(loop $l (drop (call $sched_yield)) (br $l)) (i32.const 0)"),
    "spin-config": row(fails("cpu"), record="(loop $l (drop (call $config_get (i32.const 0) (i32.const 0) "
                       "(i32.const 2048) (i32.const 1024))) (br $l)) (i32.const 0)"),
    "trap-process": row(fails("trap"), record=TRAP),
    "trap-after-emit": row(fails("trap"), record="(drop (call $forward (i32.const 0))) unreachable"),
    "stack-process": row(fails("stack"), record=DEEP),
    "exit-process": row(fails("exit"), record="(call $proc_exit (i32.const 0)) (i32.const 0)"),
    "result-negative": row(fails("result"), process='(func (export "tv_process") (param i32) (result i32) '
                           "(i32.const -2147483648))"),
    "result-too-many": row(fails("result"), process='(func (export "tv_process") (param i32) (result i32) '
                           "(i32.const 0x00ffffff))"),
    "spin-close": row({**passes(), "faults": {"cpu": 1}}, close=SPIN),
    "trap-close": row({**passes(), "faults": {"trap": 1}}, close=TRAP),
    "stack-close": row({**passes(), "faults": {"stack": 1}}, close=DEEP),
    "fails-at-1000": row({"faults": {"trap": 3}, "dead_lettered": 3, "emitted": 3496, "processed": 3496}, 3499,
                         more="(global $seen (mut i32) (i32.const 0))", record="""
        (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
        (if (i32.eq (global.get $seen) (i32.const 1000)) (then unreachable))
        (call $forward (i32.const 0))"""),
    # ---- memory ------------------------------------------------------------------------------------------------
    "memory-bomb": row(passes(memory_bytes_peak=1 << 20), record=check("(i32.eq (call $grow_all) (i32.const 16))")),
    "memory-bomb-init": row(passes(memory_bytes_peak=1 << 20), init="(drop (call $grow_all)) (i32.const 0)"),
    "memory-bomb-start": row(passes(memory_bytes_peak=1 << 20), start="(drop (call $grow_all))"),
    "table-bomb": row(passes(), more="(table $t 1 funcref)", record="""
        (loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1)) (i32.const -1))))
        (call $fail_unless (i32.le_u (table.size $t) (i32.const 1025)))
        (call $forward (i32.const 0))"""),
    # ---- the batch and its head --------------------------------------------------------------------------------
    "forged-head": row(passes(200), 200, process="""
      (func (export "tv_process") (param $count i32) (result i32) (local $k i32)
        (loop $each
          (memory.fill (i32.const 65536) (i32.const 0xff) (i32.const 16384))
          (i32.store (i32.const 65536) (local.get $k))
          (if (call $forward (i32.const 0)) (then (return (local.get $k))))
          (local.set $k (i32.add (local.get $k) (i32.const 1)))
          (br_if $each (i32.lt_u (local.get $k) (local.get $count))))
        (memory.fill (i32.const 65536) (i32.const 0xff) (i32.const 16384))
        (local.get $count))"""),
    "index-backwards": row(passes(), record="""
        (i32.store (i32.const 65536) (i32.sub (local.get $k) (i32.const 1))) (call $forward (i32.const 0))"""),
    "index-beyond": row(passes(), record="(i32.store (i32.const 65536) (i32.const -1)) (call $forward (i32.const 0))"),
    "index-after-return": row(passes(), record="(call $forward (i32.const 0)) "
                              "(i32.store (i32.const 65536) (i32.const 7))"),
    "index-beyond-trap": row(fails("trap"), record="(i32.store (i32.const 65536) (i32.const 999)) unreachable"),
    "arena-overlaps": row(passes(), more='(data (i32.const 65536) "the arena lies on data")'),
    "arena-moves": row(passes(), more="(global $asked (mut i32) (i32.const 0))", arena="""
        (global.set $asked (i32.add (global.get $asked) (i32.const 65536))) (global.get $asked)"""),
    # ---- imports -----------------------------------------------------------------------------------------------
    "rejects-all": row({"rejected": 2000, "dead_lettered": 2000, "emitted": 0}, 2000, record="""
        (memory.fill (i32.const 2048) (i32.const 0x9b) (i32.const 4096))
        (drop (call $reject (i32.const 2048) (i32.const 4096))) (i32.const 0)"""),
    "log-flood": row(passes(), record=log_lines(1000)),
    "stdout-flood": row({"emitted": 3}, record="""(local $n i32)
        (i32.store (i32.const 2048) (i32.const 4096)) (i32.store (i32.const 2052) (i32.const 60000))
        (loop $l
          (drop (call $fd_write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2056)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $n) (i32.const 20))))
        (call $forward (i32.const 0))"""),
    "counters-unbounded": row(passes(), init="""(local $n i32) (local $made i32)
        (loop $l
          (i32.store16 (i32.const 2048) (i32.add (i32.const 0x6161)
            (i32.add (i32.shl (i32.div_u (local.get $n) (i32.const 26)) (i32.const 8))
                     (i32.rem_u (local.get $n) (i32.const 26)))))
          (if (i32.ge_s (call $counter (i32.const 2048) (i32.const 2)) (i32.const 0))
            (then (local.set $made (i32.add (local.get $made) (i32.const 1)))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $n) (i32.const 676))))
        (call $fail_unless (i32.eq (local.get $made) (i32.const 16)))
        (i32.const 0)"""),
    "counter-overflow": row(passes(), record="""
        (drop (call $counter_add (call $counter (i32.const 2048) (i32.const 1)) (i64.const 0x7fffffffffffffff)))
        (call $forward (i32.const 0))""", more='(data (i32.const 2048) "n")'),
    "timers": row(passes(), tick="(drop (call $timer_set (i64.const 0))) (i32.const 0)", record=check(*[
        answers(f"(call $timer_set (i64.const {delay}))", 0)
        for delay in ("0", "-1", "1", "0x7fffffffffffffff", "0x8000000000000000", "0")])),
    "emit-wrong": row(passes(), record=check(
        answers("(call $out (i32.const 2048) (i32.const 1) (i32.const 8))", -2),
        answers("(call $out (i32.const 2048) (i32.const 1) (i32.const 0xffff))", -2),
        answers("(call $out (i32.const 2048) (i32.const 65537) (i32.const 0))", -3),
        answers("(call $watermark (i64.const 0x8000000000000000))", -1),
        "(block (result i32) (call $request (i32.const 2048) (i32.const 0) (i32.const 0)) "
        "(i32.store16 (i32.const 1052) (i32.const 7)) " + answers(EMIT, -1) + ")",
        "(block (result i32) (i32.store16 (i32.const 1052) (i32.const 4104)) (i32.ne " + EMIT + " (i32.const 0)))",
        "(block (result i32) (call $request (i32.const 2048) (i32.const 0) (i32.const 0)) "
        "(i32.store8 (i32.const 1056) (i32.const 2)) " + answers(EMIT, -1) + ")",
        "(block (result i32) (i32.store8 (i32.const 1056) (i32.const 0)) (i32.store8 (i32.const 1063) (i32.const 1)) "
        + answers(EMIT, -1) + ")")),
    # Attributes, payload and the request itself lie on top of each other: legal, and copied as they are.
    "emit-overlaps": row(passes(6, processed=3), 3, record=check(
        "(block (result i32) (call $request (i32.const 1024) (i32.const 40) (i32.const 0)) "
        "(i32.store16 (i32.const 1052) (i32.const 8)) (i32.store (i32.const 1044) (i32.const 1064)) "
        "(i64.store (i32.const 1064) (i64.const 0)) " + answers(EMIT, 0) + ")")),
    "emit-wild-payload": row(fails("pointer"), record="(call $out (i32.const -8) (i32.const 16) (i32.const 0))"),
    "emit-wild-request": row(fails("pointer"), record="(call $emit (i32.const -8))"),
    "emit-crooked-request": row(fails("pointer"), record="(call $emit (i32.const 1025))"),
    "log-wild": row(fails("pointer"), record="(call $log (i32.const 4) (i32.const 0) (i32.const -1)) (i32.const 0)"),
    "config-beyond": row(fails("pointer"), record="(call $config_get (i32.const 0) (i32.const 0) (i32.const 2048) "
                         "(i32.const -1))"),
    "config-path-beyond": row(fails("pointer"), record="(call $config_get (i32.const 2048) (i32.const -1) "
                              "(i32.const 2048) (i32.const 8))"),
    "asset-beyond": row(passes(), more='(data (i32.const 2048) "asset.txt")', record=check(*[
        answers(f"(call $asset_read (i32.const 2048) (i32.const 9) (i64.const {offset}) (i32.const 3000) "
                f"(i32.const {capacity}))", answer)
        for offset, capacity, answer in (("10", 8, 0), ("0x7fffffffffffffff", 8, 0), ("-1", 8, -1), ("5", 1000, 5),
                                         ("0x8000000000000000", 8, -1))])),
    "asset-wild": row(fails("pointer"), more='(data (i32.const 2048) "asset.txt")', record="""
        (call $asset_read (i32.const 2048) (i32.const 9) (i64.const 0) (i32.const 3000) (i32.const -1))"""),
    "poll-huge": row(passes(), record=check(
        answers("(call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const -4))", 28))),
    "poll-wild": row(fails("pointer"), record="""
        (call $poll_oneoff (i32.const 0) (i32.const -8) (i32.const 1) (i32.const 0))"""),
    "emit-flood": row(fails("cpu"), record="""
        (loop $l (drop (call $out (i32.const 2048) (i32.const 1000) (i32.const 0))) (br $l)) (i32.const 0)"""),
    "more-for-ever": row({"faults": {"output": 3}, "processed": 3, "dead_lettered": 0, "emitted": 3 * OUTPUT_LIMIT},
                         process='(func (export "tv_process") (param i32) (result i32) (i32.const 0x40000001))',
                         resume=EMIT_MORE),
    "more-in-close": row({"faults": {"output": 1}, "processed": 3, "emitted": 3 + OUTPUT_LIMIT}, close=MORE,
                         resume=EMIT_MORE),
    "watermarks": row(passes(), record=check(*[
        answers(f"(call $watermark (i64.const {time}))", 0)
        for time in ("5", "4", "0x7fffffffffffffff", "0", "-1", "0x7fffffffffffffff")])),
}

FAILING = {
    **{name + "-" + place: row(NEVER_STARTS, **{place if place != "initialize" else "_initialize": body})
       for name, code in (("spin", SPIN), ("trap", TRAP), ("stack", DEEP), ("exit", "(call $proc_exit (i32.const 0)) "
                                                                          "(i32.const 0)"))
       for place, body in (("init", code), ("start", f"(drop (block (result i32) {code}))"),
                           ("initialize", f"(drop (block (result i32) {code}))"), ("arena", code))},
    "refuses-start": row(NEVER_STARTS, init="(i32.const -7)"),
    "malformed-start": row(NEVER_STARTS, init="(i32.const 0x7fffffff)"),
    "arena-outside": row(NEVER_STARTS, arena="(i32.const 0x7ffffff8)"),
    "arena-wraps": row(NEVER_STARTS, arena="(i32.const 0xfffffff8)"),
    "arena-crooked": row(NEVER_STARTS, arena="(i32.const 65537)"),
    "arena-none": row(NEVER_STARTS, arena="(i32.const 0)"),
    "invalid-code": row(NEVER_STARTS, more="(func (result i32))", options=["--no-check"]),
    "too-many-faults": row({"state": "failed", "faults": {"trap": 4}, "restarts": 3}, 100, record=TRAP),
    "more-without-resume": row({"state": "failed", "faults": {"result": 4}}, 100,
                               process=f'(func (export "tv_process") (param i32) (result i32) {MORE})'),
    "more-without-output": row({"state": "failed", "faults": {"result": 4}}, 100, resume=MORE,
                               process='(func (export "tv_process") (param i32) (result i32) (i32.const 0x40000001))'),
    "trap-resume": row({"state": "failed", "faults": {"trap": 4}}, 1000, resume=TRAP,
                       process='(func (export "tv_process") (param i32) (result i32) (i32.const 0x40000001))'),
    "spin-resume": row({"state": "failed", "faults": {"cpu": 4}}, 1000, resume=SPIN,
                       process='(func (export "tv_process") (param i32) (result i32) (i32.const 0x40000001))'),
}
