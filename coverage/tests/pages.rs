//! The coverage tables in `README.md` and `docs/coverage.md` say what the rows of the instruction table say.

use encore86::isa::tables;
use encore86_coverage::checked::List;
use encore86_coverage::count::Counts;
use encore86_coverage::{expand, pages};
use std::path::Path;

#[test]
fn the_pages_count_the_rows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in pages::pages(&root, &Counts::new(&List::read())).expect("the pages have tables") {
        let differing = page.is.lines().zip(page.should.lines()).find(|(is, should)| is != should);
        assert!(
            page.is == page.should,
            "{} is stale (run `encore86 coverage --write`), first at {differing:?}",
            page.file
        );
    }
}

#[test]
fn every_form_decodes_to_its_row() {
    let short = tables::rows().filter_map(|row| {
        let (forms, decoded) = (expand::forms(row).len(), expand::decoded(row));
        (forms != decoded).then(|| format!("{} ({decoded} of {forms})", row.form()))
    });
    let short: Vec<_> = short.collect();
    assert!(short.is_empty(), "{} rows have forms that do not decode: {short:#?}", short.len());
}
