;; An exception tag.
(module
  (memory (export "memory") 1)
  (tag $failure (param i32))
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "tv_process") (param i32) (result i32) (throw $failure (local.get 0))))
