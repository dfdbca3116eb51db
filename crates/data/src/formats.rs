//! The public file formats: one module each, with `parse`, `read`, `render` and `write`.

pub mod text;
