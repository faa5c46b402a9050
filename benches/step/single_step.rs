//! d
pub fn single_step(_: &mut criterion::Criterion) {}
