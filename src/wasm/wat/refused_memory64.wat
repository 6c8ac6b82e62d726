;; A memory with 64-bit addresses.
(module
  (memory (export "memory") i64 1)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "tv_process") (param i32) (result i32) (local.get 0)))
