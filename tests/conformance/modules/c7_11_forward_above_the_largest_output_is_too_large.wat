;;! custom torvyn.component max_output=2\n
;;! push abc
;;! run
;;! expect -3
(module
  (import "torvyn" "emit" (func $emit (param i32) (result i32)))
  (import "torvyn" "forward" (func $forward (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  ;; Emits `length` bytes at `at` on a port; the request lies at 1024.
  (func $out (param $port i32) (param $at i32) (param $length i32) (result i32)
    (i64.store (i32.const 1024) (i64.const -9223372036854775808))
    (i64.store (i32.const 1032) (i64.const 0))
    (i32.store (i32.const 1040) (local.get $at))
    (i32.store (i32.const 1044) (i32.const 0))
    (i32.store (i32.const 1048) (local.get $length))
    (i32.store (i32.const 1052) (i32.shl (local.get $port) (i32.const 16)))
    (i64.store (i32.const 1056) (i64.const 0))
    (call $emit (i32.const 1024)))
  ;; Emits a number as decimal text on port 0.
  (func $number (param $n i64)
    (local $at i32) (local $rest i64)
    (local.set $at (i32.const 1160))
    (local.set $rest (select (i64.sub (i64.const 0) (local.get $n)) (local.get $n)
                             (i64.lt_s (local.get $n) (i64.const 0))))
    (loop $digits
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $rest) (i64.const 10)))))
      (local.set $rest (i64.div_u (local.get $rest) (i64.const 10)))
      (br_if $digits (i64.ne (local.get $rest) (i64.const 0))))
    (if (i64.lt_s (local.get $n) (i64.const 0))
      (then (local.set $at (i32.sub (local.get $at) (i32.const 1)))
            (i32.store8 (local.get $at) (i32.const 45))))
    (drop (call $out (i32.const 0) (local.get $at) (i32.sub (i32.const 1160) (local.get $at)))))
  (func $answer (param $n i32) (call $number (i64.extend_i32_s (local.get $n))))
  (func (export "tv_process") (param $count i32) (result i32)
    (call $answer (call $forward (i32.const 0)))
    (local.get $count)))
