//! What tch does not bind, and the only place for unsafe code.
