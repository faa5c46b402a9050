//! XOP, TBM and LWP: maps 8 to 10 of AMD's 8F prefix.

use super::row::*;

pub(super) static M8: &[Row] = &[];
pub(super) static M9: &[Row] = &[];
pub(super) static M10: &[Row] = &[];
