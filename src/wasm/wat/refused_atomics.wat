;; Threads: an atomic instruction, even on memory that is not shared.
(module
  (memory (export "memory") 1)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "tv_process") (param i32) (result i32) (i32.atomic.rmw.add (i32.const 0) (local.get 0))))
