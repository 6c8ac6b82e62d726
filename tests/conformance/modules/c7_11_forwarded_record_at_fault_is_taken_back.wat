;;! push a
;;! push b
;;! push c
;;! run
;;! expect a|c
;;! fault trap 1
;;! letter "payload_base64":"Yg=="
(module
  (import "torvyn" "forward" (func $forward (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  (func (export "tv_process") (param $count i32) (result i32)
    (local $k i32) (local $at i32)
    (local.set $at (i32.const 4160))
    (loop $each
      (i32.store (i32.const 4096) (local.get $k))
      (drop (call $forward (i32.const 0)))
      (if (i32.eq (i32.load8_u offset=48 (local.get $at)) (i32.const 98)) (then (unreachable)))
      (local.set $at (i32.add (local.get $at) (i32.load (local.get $at))))
      (local.set $k (i32.add (local.get $k) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $k) (local.get $count))))
    (local.get $count)))
