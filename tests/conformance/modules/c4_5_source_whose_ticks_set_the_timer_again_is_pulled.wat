;;! source
;;! run
;;! advance 1000000
;;! advance 1000000
;;! expect pull|tick|pull|tick|pull
(module
  (import "torvyn" "emit" (func $emit (param i32) (result i32)))
  (import "torvyn" "timer_set" (func $timer_set (param i64) (result i32)))
  (memory (export "memory") 2)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  (data (i32.const 16) "pulltick")
  ;; Emits four bytes.
  (func $word (param $at i32)
    (i64.store (i32.const 1024) (i64.const -9223372036854775808))
    (i32.store (i32.const 1040) (local.get $at))
    (i32.store (i32.const 1048) (i32.const 4))
    (drop (call $emit (i32.const 1024))))
  (global $pulls (mut i32) (i32.const 0))
  (func (export "tv_tick") (param $now i64) (result i32)
    (call $word (i32.const 20))
    (call $timer_set (i64.const 1000000)))
  (func (export "tv_pull") (param $max i32) (result i32)
    (call $word (i32.const 16))
    (global.set $pulls (i32.add (global.get $pulls) (i32.const 1)))
    (if (i32.eq (global.get $pulls) (i32.const 1)) (then (drop (call $timer_set (i64.const 1000000)))))
    (select (i32.const 0x20000000) (i32.const 0) (i32.eq (global.get $pulls) (i32.const 3)))))
