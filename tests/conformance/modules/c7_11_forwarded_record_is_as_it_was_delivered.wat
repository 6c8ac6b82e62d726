;;! push-topic a/b x
;;! push y @7
;;! run
;;! header attributes_bytes 8
;;! header sequence 1
;;! skip 1
;;! header event_time 7
;;! header origin_sequence 2
;;! header sequence 2
;;! expect y
(module
  (import "torvyn" "forward" (func $forward (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param $size i32) (result i32) (i32.const 4096))
  ;; Overwrites the delivered record, payload and attributes included, before it forwards it.
  (func (export "tv_process") (param $count i32) (result i32)
    (local $k i32) (local $at i32) (local $size i32)
    (local.set $at (i32.const 4160))
    (loop $each
      (local.set $size (i32.load (local.get $at)))
      (memory.fill (local.get $at) (i32.const 122) (local.get $size))
      (i32.store (i32.const 4096) (local.get $k))
      (drop (call $forward (i32.const 0)))
      (local.set $at (i32.add (local.get $at) (local.get $size)))
      (local.set $k (i32.add (local.get $k) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $k) (local.get $count))))
    (local.get $count)))
