//! Libraries that are loaded while the process runs.

use std::ffi::{CStr, c_void};

/// A library that stays loaded as long as the process lives.
pub(crate) struct Library(*mut c_void);

impl Library {
    /// Loads a library for everyone in the process, by its path or by its name on the search path.
    ///
    /// # Errors
    /// What the dynamic loader said.
    pub(crate) fn open(name: &CStr) -> Result<Self, String> {
        // SAFETY: `name` is a zero-terminated string that outlives the call. Loading runs the library's initialisers,
        // which is what whoever names it wants. The handle is never closed.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if handle.is_null() {
            return Err(last_error());
        }
        Ok(Self(handle))
    }

    /// A library that is in the process already, by its own name.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn loaded(name: &CStr) -> Result<Self, String> {
        // SAFETY: as in [`Library::open`], but that nothing is loaded.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        if handle.is_null() {
            return Err(format!("{} is not in the process", name.to_string_lossy()));
        }
        Ok(Self(handle))
    }

    /// A function of the library; none if it has none of this name.
    ///
    /// # Safety
    /// `F` is the type of that function, as a pointer.
    pub(crate) unsafe fn function<F: Copy>(&self, name: &CStr) -> Option<F> {
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: the handle is one of `dlopen` that was never closed, and the name ends with a zero.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if found.is_null() {
            return None;
        }
        // SAFETY: the caller says that `F` is the function's type, and sizes were compared.
        Some(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&found) })
    }
}

fn last_error() -> String {
    // SAFETY: `dlerror` takes nothing; its message belongs to this thread and stays valid until the thread's next call of
    // the loader, which comes after the copy below.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "the dynamic loader gave no reason".to_owned();
    }
    // SAFETY: a message that is not null is a zero-terminated string.
    unsafe { CStr::from_ptr(message) }
        .to_string_lossy()
        .into_owned()
}
