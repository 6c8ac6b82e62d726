//! Tells the C build where the engine's generated headers are: the include folder's path
//! is written to `include-path.txt` in this crate's build output folder.

use std::{env, fs, path::Path};

fn main() {
    let include = env::var("DEP_WASMTIME_C_API_INCLUDE")
        .expect("wasmtime-c-api-impl publishes its include folder");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("include-path.txt"), include).expect("write include-path.txt");
    println!("cargo:rerun-if-changed=build.rs");
}
