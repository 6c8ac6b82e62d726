;;! out-records 2
;;! out-policy drop-newest
;;! push a
;;! run
;;! expect a|a
;;! drop newest 1
;;! stat emitted 3
(module
  (import "torvyn" "forward" (func $forward (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  (func (export "tv_process") (param $count i32) (result i32)
    (drop (call $forward (i32.const 0)))
    (drop (call $forward (i32.const 0)))
    (drop (call $forward (i32.const 0)))
    (local.get $count)))
