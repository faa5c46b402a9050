//! What a stub costs.
fn main() {}
