//! Joins groups of rows into one table at build time, in the order of their opcodes.

/// Joins row groups (arrays of [`Row`](super::row::Row), each in the order of its opcodes) into one array.
/// Rows of one opcode keep the order of the groups.
macro_rules! rows {
    ($( $group:expr ),* $(,)?) => {{
        use crate::isa::row::Row;
        const GROUPS: &[&[Row]] = &[$( &$group ),*];
        const COUNT: usize = {
            let (mut g, mut n) = (0, 0);
            while g < GROUPS.len() {
                n += GROUPS[g].len();
                g += 1;
            }
            n
        };
        // A place of its own: of what is anonymous each user may get a copy, and rows are told apart by address.
        static ROWS: [Row; COUNT] = {
            let mut place = [0usize; 257];
            let mut g = 0;
            while g < GROUPS.len() {
                let mut i = 0;
                while i < GROUPS[g].len() {
                    assert!(
                        i == 0 || GROUPS[g][i - 1].opcode <= GROUPS[g][i].opcode,
                        "a group's rows stand in the order of their opcodes"
                    );
                    place[GROUPS[g][i].opcode as usize + 1] += 1;
                    i += 1;
                }
                g += 1;
            }
            let mut code = 0;
            while code < 256 {
                place[code + 1] += place[code];
                code += 1;
            }
            let mut out = [GROUPS[0][0]; COUNT];
            g = 0;
            while g < GROUPS.len() {
                let mut i = 0;
                while i < GROUPS[g].len() {
                    let code = GROUPS[g][i].opcode as usize;
                    out[place[code]] = GROUPS[g][i].planned();
                    place[code] += 1;
                    i += 1;
                }
                g += 1;
            }
            out
        };
        &ROWS
    }};
}
