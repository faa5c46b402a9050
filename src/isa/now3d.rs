//! 3DNow!: 0F 0F, with the opcode where an immediate would stand.

use super::row::*;

pub(super) static M0F0F: &[Row] = &[];
