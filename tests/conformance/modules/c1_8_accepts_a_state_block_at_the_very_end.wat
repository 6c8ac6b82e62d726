;;! custom torvyn.component state=keyed\nstate_bytes=16\n
;;! push a
;;! run
;;! stat processed 1
(module
  (memory (export "memory") 2)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  (func (export "tv_state") (result i32) (i32.const 131056))
  (func (export "tv_process") (param i32) (result i32) (local.get 0)))
