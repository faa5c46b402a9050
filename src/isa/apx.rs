//! APX: EVEX map 4, and forms of EVEX that other maps give to instructions with a VEX form.

use super::row::*;

pub(super) static M4: &[Row] = &[];
