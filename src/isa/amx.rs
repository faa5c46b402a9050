//! AMX: tile registers.

use super::row::*;

pub(super) static VEX_M5: &[Row] = &[];
