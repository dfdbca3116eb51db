//! The CUDA half of libtorch, loaded when the installation has one.
//!
//! The binary needs only `libtorch_cpu`, so that one file runs with and without CUDA; libtorch registers its
//! CUDA kernels when `libtorch_cuda.so` is loaded. The library is looked for beside the `libtorch_cpu` that
//! the process runs and in the folder `cuda` beside that one's, where `scripts/libtorch` puts it, never on the search
//! path: another version there would register kernels that do not fit.

use std::path::PathBuf;

/// Whether libtorch's CUDA library is in the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CudaLibrary {
    /// The libtorch that runs has no CUDA library beside it, or no libtorch runs.
    Absent,
    /// The library is loaded. Whether a device answers is another question: ask `tch::Cuda`.
    Loaded(PathBuf),
    /// The library is there and did not load, for instance because the CUDA runtime is missing.
    Unusable {
        /// The library.
        path: PathBuf,
        /// What the dynamic loader said.
        reason: String,
    },
}

#[cfg(target_os = "linux")]
pub use linux::folder;
#[cfg(target_os = "linux")]
pub(crate) use linux::load_beside_libtorch;

/// Settings that CUDA reads from the environment when it starts, where the user has not made them.
pub(crate) fn set_environment() {
    let settings = [
        // Caches grow from token to token: without it, memory breaks up into pieces that nothing fits into.
        ("PYTORCH_ALLOC_CONF", "expandable_segments:True"),
        // What cuBLAS needs to compute the same bits each time (`libtorch::deterministic`).
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
    ];
    for (name, value) in settings {
        if std::env::var_os(name).is_none() {
            // SAFETY: `init` is called before another thread starts, so nobody reads the environment meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// The folder of the libtorch that runs, which only Linux tells.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn folder() -> Option<PathBuf> {
    None
}

/// libtorch has CUDA on Linux only, as far as candor is concerned.
#[cfg(not(target_os = "linux"))]
pub(crate) fn load_beside_libtorch() -> CudaLibrary {
    CudaLibrary::Absent
}

#[cfg(target_os = "linux")]
mod linux {
    use super::CudaLibrary;
    use crate::library::Library;
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Path, PathBuf};

    pub(crate) fn load_beside_libtorch() -> CudaLibrary {
        let places = folder().map(|folder| places(&folder)).into_iter().flatten();
        match places.into_iter().find(|library| library.exists()) {
            Some(library) => load(library),
            None => CudaLibrary::Absent,
        }
    }

    /// Where the library may be: beside `libtorch_cpu.so`, as in a Python's torch, or where `scripts/libtorch` puts it.
    fn places(folder: &Path) -> [PathBuf; 2] {
        ["libtorch_cuda.so", "../cuda/libtorch_cuda.so"].map(|place| folder.join(place))
    }

    /// The folder of the libtorch that runs; none where none runs.
    #[must_use]
    pub fn folder() -> Option<PathBuf> {
        // Without /proc the question cannot be answered, and the CPU serves.
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        libtorch_folder(&maps)
    }

    /// The folder that `libtorch_cpu.so` was loaded from, out of the text of `/proc/self/maps`.
    fn libtorch_folder(maps: &str) -> Option<PathBuf> {
        maps.lines()
            // The path is the sixth column, starts at the first slash and may hold spaces.
            .filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])))
            .find(|path| {
                path.file_name()
                    .is_some_and(|name| name == "libtorch_cpu.so")
            })
            .and_then(Path::parent)
            .map(Path::to_path_buf)
    }

    fn load(path: PathBuf) -> CudaLibrary {
        let Ok(name) = CString::new(path.as_os_str().as_bytes()) else {
            return CudaLibrary::Unusable {
                path,
                reason: "the path holds a zero byte".to_owned(),
            };
        };
        // It stands beside the libtorch that already runs, so whoever could change it could change that one too.
        match Library::open(&name) {
            Ok(_) => CudaLibrary::Loaded(path),
            Err(reason) => CudaLibrary::Unusable { path, reason },
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn libtorch_is_found_among_the_mapped_files() {
            let maps = "\
00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/candor
00e03000-00e24000 rw-p 00000000 00:00 0      [heap]
7f10aa000000-7f10c4000000 r--p 00000000 08:02 135522 /home/a b/my torch/lib/libtorch_cpu.so
7f10d0000000-7f10d0021000 rw-p 00000000 00:00 0
";
            assert_eq!(
                libtorch_folder(maps),
                Some(PathBuf::from("/home/a b/my torch/lib"))
            );
        }

        #[test]
        fn a_process_without_libtorch_has_no_folder() {
            // A name that only contains the wanted one must not count.
            let maps = "7f10aa000000-7f10c4000000 r--p 00000000 08:02 1 /opt/old-libtorch_cpu.so\n";
            assert_eq!(libtorch_folder(maps), None);
            assert_eq!(libtorch_folder(""), None);
        }

        #[test]
        fn a_damaged_library_is_reported_with_the_loaders_reason() {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("libtorch_cuda.so");
            fs::write(&path, "not a library").expect("a file in it");
            let CudaLibrary::Unusable {
                path: named,
                reason,
            } = load(path.clone())
            else {
                panic!("a text file was loaded as a library");
            };
            assert_eq!(named, path);
            assert!(reason.contains("libtorch_cuda.so"), "{reason}");
        }

        #[test]
        fn a_sound_library_loads() {
            let maps = fs::read_to_string("/proc/self/maps").expect("the list of mapped files");
            let libc = maps
                .lines()
                .filter_map(|line| line.find('/').map(|start| PathBuf::from(&line[start..])))
                .find(|path| path.file_name().is_some_and(|name| name == "libc.so.6"))
                .expect("a test binary that links the C library");
            assert_eq!(load(libc.clone()), CudaLibrary::Loaded(libc));
        }
    }
}
