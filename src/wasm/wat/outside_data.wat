;; Its data segment does not fit into its memory.
(module
  (memory (export "memory") 1)
  (data (i32.const 65530) "0123456789")
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "tv_process") (param i32) (result i32) (local.get 0)))
