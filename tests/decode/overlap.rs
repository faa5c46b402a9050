//! Rows of one opcode against each other: which of two is meant must not hang on luck.

use encore86::isa::row::{attr, sel};
use encore86::isa::{Feature, Row, tables};
use std::collections::BTreeMap;

/// The opcodes that a row stands for.
fn opcodes(row: &Row) -> std::ops::Range<usize> {
    let span = match row {
        _ if row.is(attr::CONDITION) => 16,
        _ if row.is(attr::PLUS_R) => 8,
        _ => 1,
    };
    row.opcode as usize..row.opcode as usize + span
}

/// Can one selector word satisfy both?
fn meet(a: &Row, b: &Row) -> bool {
    let common = a.select.mask & b.select.mask;
    // 66 with W is 64 bits wide: operand sizes, W and 66 are not independent, but that only lets fewer words be.
    a.select.value & common == b.select.value & common
}

/// Does `a` ask for all that `b` asks of the word?
fn includes(a: &Row, b: &Row) -> bool {
    a.select.mask & b.select.mask == b.select.mask && a.select.value & b.select.mask == b.select.value
}

fn needs(row: &Row) -> Vec<Feature> {
    row.features.into_iter().filter(|&f| f != Feature::Base).collect()
}

/// Rows of one opcode, in the order in which they are tried.
fn by_opcode() -> BTreeMap<(u8, u8, bool, usize), Vec<&'static Row>> {
    let mut all = BTreeMap::<_, Vec<&'static Row>>::new();
    for &table in tables::ALL {
        for row in table.rows() {
            for opcode in opcodes(row) {
                all.entry((row.space as u8, row.map as u8, std::ptr::eq(table, &tables::X87), opcode))
                    .or_default()
                    .push(row);
            }
        }
    }
    all
}

#[test]
fn every_row_can_be_chosen() {
    let mut hidden = Vec::new();
    for rows in by_opcode().values() {
        for (j, later) in rows.iter().enumerate() {
            for earlier in &rows[..j] {
                let asks_no_more = needs(earlier).iter().all(|f| needs(later).contains(f));
                if includes(later, earlier) && asks_no_more {
                    hidden.push(format!("{} behind {}", later.form(), earlier.form()));
                }
            }
        }
    }
    assert!(hidden.is_empty(), "{} rows are never reached:\n{}", hidden.len(), hidden.join("\n"));
}

/// Where two rows of an opcode meet, the first is the special case: it asks for more, or for a feature of its own.
#[test]
fn the_first_of_two_is_the_special_one() {
    let (mut pairs, mut unclear) = (0, Vec::new());
    for rows in by_opcode().values() {
        for (j, later) in rows.iter().enumerate() {
            for earlier in rows[..j].iter().filter(|earlier| meet(earlier, later)) {
                pairs += 1;
                let special = includes(earlier, later) || needs(earlier).iter().any(|f| !needs(later).contains(f));
                // A row for one operand size stands before one for W, 66 or 64-bit mode, which say something of it too.
                let sizes = sel::OSIZE | sel::W | sel::P66 | sel::MODE64;
                let by_size = (earlier.select.mask ^ later.select.mask) & !sizes == 0;
                if !special && !by_size {
                    unclear.push(format!("{} and {}", earlier.form(), later.form()));
                }
            }
        }
    }
    println!("{pairs} pairs of rows meet");
    assert!(pairs > 50);
    assert!(
        unclear.is_empty(),
        "{} pairs meet and neither is the special case:\n{}",
        unclear.len(),
        unclear.join("\n")
    );
}
