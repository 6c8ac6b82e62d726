;; One use of each accepted feature beyond the first version of WebAssembly (contract 1.1).
(module
  (memory (export "memory") 1)
  (data $passive "bulk")
  (table $t 2 4 funcref)
  (table $u 1 funcref)
  (func (export "torvyn_abi_1"))
  (func (export "tv_arena") (param i32) (result i32) (i32.const 1024))
  (func $two (result i32 i32) (i32.const 1) (i32.const 2))              ;; multi-value
  (func $tail (param i32) (result i32) (return_call $id (local.get 0))) ;; tail call
  (func $id (param i32) (result i32) (local.get 0))
  (elem declare func $id)
  (func (export "tv_process") (param i32) (result i32)
    (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 4)) ;; bulk memory
    (memory.copy (i32.const 8) (i32.const 0) (i32.const 4))
    (table.set $u (i32.const 0) (ref.func $id)) ;; reference types
    (drop (i32.add (call $two)))
    (drop (i32.extend8_s (i32.const 128)))      ;; sign extension
    (drop (i32.trunc_sat_f32_s (f32.const 1e30))) ;; saturating conversion
    (drop (i32x4.extract_lane 0 (i32x4.add (v128.const i32x4 1 2 3 4) (v128.load (i32.const 16))))) ;; SIMD
    (call $tail (local.get 0))))
