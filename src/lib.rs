//! encore86
