//! The static archive behind `build/torvyn`: the engine's C API, re-exported so that
//! every `wasmtime_*` and `wasm_*` symbol ends up in one library.

pub use wasmtime_c_api::*;
