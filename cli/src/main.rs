//! The command `encore86`.

fn main() {}
