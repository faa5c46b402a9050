//! d
pub fn decode(_: &mut criterion::Criterion) {}
