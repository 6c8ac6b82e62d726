;; Never comes back from `_initialize`.
(module
  (memory (export "memory") 1)
  (func (export "torvyn_abi_1"))
  (func (export "_initialize") (loop $forever (br $forever)))
  (func (export "tv_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "tv_process") (param i32) (result i32) (local.get 0)))
