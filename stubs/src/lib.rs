//! encore86-stubs
