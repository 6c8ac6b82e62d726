;;! refuse invalid torvyn_abi_1
(module
  (memory (export "memory") 2)
  (global (export "torvyn_abi_1") i32 (i32.const 1))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  (func (export "tv_process") (param i32) (result i32) (local.get 0)))
