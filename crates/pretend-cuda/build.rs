//! Compiles the pretend device against the libtorch that `torch-sys` found.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    for source in ["src/memory.h", "src/pretend_cuda.cpp"] {
        println!("cargo:rerun-if-changed={source}");
    }
    // Whatever libtorch came from, headers and libraries lie side by side in it.
    let libraries = env::var_os("DEP_TCH_LIBTORCH_LIB")
        .map(PathBuf::from)
        .expect("torch-sys tells its dependents where libtorch's libraries are");
    let include = libraries.parent().unwrap_or(Path::new("/")).join("include");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").warnings(true);
    // What is optimised is libtorch; and GCC warns of templates of its headers when it optimises more.
    build.opt_level(1);
    // As libraries of the system: their warnings are not ours to mend.
    for folder in [include.clone(), include.join("torch/csrc/api/include")] {
        build.flag("-isystem");
        build.flag(folder.to_str().expect("a path in UTF-8"));
    }
    build
        .file("src/pretend_cuda.cpp")
        .compile("candor_pretend_cuda");
}
