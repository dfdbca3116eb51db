//! Compiles the C++ half of this crate against the libtorch that `torch-sys` found.

use std::env;
use std::path::{Path, PathBuf};

const SOURCES: [&str; 8] = [
    "src/counted.cpp",
    "src/fused.cpp",
    "src/gradient.cpp",
    "src/group.cpp",
    "src/libtorch.cpp",
    "src/linears.cpp",
    "src/nccl.cpp",
    "src/packed.cpp",
];
const HEADERS: [&str; 2] = ["src/fused.h", "src/guarded.h"];

/// Compiled once for each kind of processor.
const LOOPS: &str = "src/fused_loops.cpp";

fn main() {
    println!("cargo:rerun-if-changed=declarations");
    for source in SOURCES.iter().chain(&HEADERS).chain([&LOOPS]) {
        println!("cargo:rerun-if-changed={source}");
    }
    // Whatever libtorch came from, headers and libraries lie side by side in it.
    let libraries = env::var_os("DEP_TCH_LIBTORCH_LIB")
        .map(PathBuf::from)
        .expect("torch-sys tells its dependents where libtorch's libraries are");
    let include = libraries.parent().unwrap_or(Path::new("/")).join("include");
    loops("plain", &[]);
    let avx2 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    if avx2 {
        loops("avx2", &["-mavx2", "-mfma"]);
    }
    let mut build = cpp();
    if avx2 {
        build.define("CANDOR_AVX2", None);
    }
    build
        // libtorch's thread pool is OpenMP's; without this its loops run on one core.
        .flag_if_supported("-fopenmp")
        // What libtorch's headers include of Gloo and do not bring.
        .include("declarations")
        // As libraries of the system: their warnings are not ours to mend.
        .flag("-isystem")
        .flag(include.to_str().expect("a path in UTF-8"))
        .flag("-isystem")
        .flag(
            include
                .join("torch/csrc/api/include")
                .to_str()
                .expect("a path in UTF-8"),
        )
        .files(SOURCES)
        .compile("candor_torch_ext");
}

/// The loops for one kind of processor.
fn loops(name: &str, flags: &[&str]) {
    let mut build = cpp();
    for flag in flags {
        build.flag(flag);
    }
    build
        .define("CANDOR_LOOPS", name)
        .file(LOOPS)
        // Loops become vectors only where nobody asks for traps or `errno`; no result changes.
        .flag_if_supported("-fno-trapping-math")
        .flag_if_supported("-fno-math-errno")
        .compile(&format!("candor_fused_{name}"));
}

fn cpp() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        // The compiler would otherwise fuse products and sums where the processor can, and round other than
        // the definition says.
        .flag_if_supported("-ffp-contract=off")
        .opt_level(3)
        .warnings(true);
    build
}
