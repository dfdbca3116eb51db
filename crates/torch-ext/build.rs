//! Compiles the C++ half of this crate against the libtorch that `torch-sys` found.

use std::env;
use std::path::{Path, PathBuf};

const SOURCES: [&str; 3] = ["src/group.cpp", "src/libtorch.cpp", "src/packed.cpp"];

fn main() {
    println!("cargo:rerun-if-changed=declarations");
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    // Whatever libtorch came from, headers and libraries lie side by side in it.
    let libraries = env::var_os("DEP_TCH_LIBTORCH_LIB")
        .map(PathBuf::from)
        .expect("torch-sys tells its dependents where libtorch's libraries are");
    let include = libraries.parent().unwrap_or(Path::new("/")).join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // The compiler would otherwise fuse products and sums where the processor can, and round other than
        // the definition says.
        .flag_if_supported("-ffp-contract=off")
        // libtorch's thread pool is OpenMP's; without this its loops run on one core.
        .flag_if_supported("-fopenmp")
        .opt_level(3)
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
        .warnings(true)
        .files(SOURCES)
        .compile("candor_torch_ext");
}
