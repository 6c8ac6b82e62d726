;; Emits from `_initialize` and from `tv_arena`; traps unless both answers are STATE (-4).
(module
  (import "torvyn" "emit" (func $emit (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "torvyn_abi_1"))
  (func $try (if (i32.ne (call $emit (i32.const 256)) (i32.const -4)) (then (unreachable))))
  (func (export "_initialize") (call $try))
  (func (export "tv_arena") (param i32) (result i32) (call $try) (i32.const 1024))
  (func (export "tv_process") (param i32) (result i32) (local.get 0)))
