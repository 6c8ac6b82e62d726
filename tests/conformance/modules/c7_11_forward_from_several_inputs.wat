;;! inputs 2
;;! push a @2
;;! push1 b @1
;;! push c @3
;;! run
;;! header event_time 1
;;! expect b|a|c
(module
  (import "torvyn" "forward" (func $forward (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  (func (export "tv_process") (param $count i32) (result i32)
    (local $k i32)
    (loop $each
      (i32.store (i32.const 4096) (local.get $k))
      (drop (call $forward (i32.const 0)))
      (local.set $k (i32.add (local.get $k) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $k) (local.get $count))))
    (local.get $count)))
