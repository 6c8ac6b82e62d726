;;! push a
;;! push b
;;! push c
;;! run
;;! expect a|a|c
(module
  (import "torvyn" "forward" (func $forward (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  ;; Forwards the first record twice, the second not at all, the third once.
  (func (export "tv_process") (param $count i32) (result i32)
    (drop (call $forward (i32.const 0)))
    (drop (call $forward (i32.const 0)))
    (i32.store (i32.const 4096) (i32.const 2))
    (drop (call $forward (i32.const 0)))
    (local.get $count)))
