//! What iced-x86 1.21 does not know yet.

use encore86::isa::{Feature, Row};

const NEWER: &[Feature] = &[
    Feature::Ace,
    Feature::AmxAvx512,
    Feature::AmxFp8,
    Feature::AmxMovrs,
    Feature::Apx,
    Feature::ApxNddNf,
    Feature::Avx10,
    Feature::Avx10V1Aux,
    Feature::Avx10V2,
    Feature::Avx10V2Aux,
    Feature::MsrImm,
    Feature::UserMsr,
];

/// Is the row of a set that iced-x86 cannot decode?
pub fn is_newer(row: &Row) -> bool {
    row.features.iter().any(|feature| NEWER.contains(feature))
}
