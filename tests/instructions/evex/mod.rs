//! The EVEX encoding.

mod crypto;
mod float;
mod fma;
mod gate;
mod gather;
mod integer;
mod shuffle;

/// Runs a table of instructions that are replayed.
fn run_on_avx512(table: &str) {
    use encore86::isa::Feature::{Avx512bf16, Avx512bitalg, Avx512bw, Avx512cd, Avx512dq, Avx512f, Avx512ifma};
    use encore86::isa::Feature::{Avx512vbmi, Avx512vbmi2, Avx512vl, Avx512vnni};
    let host = encore86::Profile::host();
    let needed = [Avx512f, Avx512vl, Avx512bw, Avx512dq, Avx512cd, Avx512ifma, Avx512vbmi, Avx512vbmi2, Avx512vnni];
    if let Some(lacking) = needed.into_iter().chain([Avx512bitalg, Avx512bf16]).find(|&f| !host.has(f)) {
        let cases = table.lines().filter(|line| line.contains('|')).count();
        println!("SKIPPED: this host lacks {}; {cases} cases", lacking.name());
        return;
    }
    crate::table::run(table);
}
