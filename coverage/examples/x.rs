use encore86_coverage::{checked, count, expand, list::{self, differences::Differences, profiles::Profiles}};
use encore86::isa::tables;
use std::collections::BTreeMap;
fn main() {
    let mut names: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let t = std::time::Instant::now();
    let (mut f, mut d) = (0, 0);
    for r in tables::rows() {
        names.entry(checked::name(r)).or_default().push(r);
        let (a, b) = (expand::forms(r).len(), expand::decoded(r));
        f += a; d += b;
        if a != b { println!("SHORT {} {:02x} {} {b} of {a} {:x?}", count::map_of(r).2, r.opcode, r.form(), r.select); }
    }
    println!("forms {f} decoded {d} in {:?}; names {}", t.elapsed(), names.len());
    for (n, v) in names.iter().filter(|(_, v)| v.len() > 1) { println!("DUP {n} {} exec {:?}", v.len(), v.iter().map(|r| r.executed()).collect::<Vec<_>>()); }
    let forms = list::file::read(&list::file::named().unwrap()).unwrap();
    let dif = Differences::of(|c| list::DECODING.contains(&c));
    let mut p = Profiles::default();
    let mut by: BTreeMap<usize, usize> = BTreeMap::new();
    let mut bad = 0;
    for form in &forms {
        let found = list::find(form, &dif, &mut p);
        if let Some(x) = found.failure { bad += 1; println!("BAD {} {x:?}", form.iform); }
        if let Some(r) = found.row { *by.entry(std::ptr::from_ref(r) as usize).or_default() += 1; } else { println!("NOROW {}", form.iform) }
    }
    println!("bad {bad}");
    let mut maps: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for r in tables::rows() {
        let e = maps.entry(count::map_of(r)).or_default();
        let (a, b) = (expand::forms(r).len(), by.get(&(std::ptr::from_ref(r) as usize)).copied().unwrap_or(0));
        e.0 += a; e.1 += b;
        if a != b { println!("DIFF {} {:02x} {} ours {a} list {b} {:x?}", count::map_of(r).2, r.opcode, r.form(), r.select); }
    }
    for (m, v) in maps { println!("MAP {m:?} {v:?}"); }
}
