//! `encore86 coverage`: the tables it prints and writes, and a list of forms.

use encore86::isa::tables;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn coverage(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encore86"));
    command.arg("coverage").args(arguments).env_remove("ENCORE86_FORMS").output().expect("the command runs")
}

/// A directory of the test's own, empty.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(directory.join("docs")).expect("a directory");
    directory
}

#[test]
fn every_row_is_counted() {
    let output = coverage(&[]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    let all = text.lines().find(|line| line.starts_with("all ")).expect("a sum");
    let numbers: Vec<usize> = all.split_whitespace().skip(1).map(|cell| cell.parse().expect("a number")).collect();
    let [lines, forms, decoded, emulated, checked, by_manual, _] = numbers[..] else { panic!("seven numbers: {all}") };
    assert_eq!((lines, decoded), (tables::rows().count(), forms));
    assert!(forms > lines && emulated < forms && checked > 0 && by_manual > 0, "{all}");
    assert!(checked + by_manual < emulated, "{all}");
}

#[test]
fn stale_tables_are_refreshed_and_nothing_else() {
    let directory = directory("stale");
    let pages = ["README.md", "docs/coverage.md"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in pages {
        let text = fs::read_to_string(root.join(page)).expect("a page");
        let (before, rest) = text.split_once("--write` -->\n").expect("a marker");
        let (_, after) = rest.split_once("<!-- end").expect("a marker");
        fs::write(directory.join(page), format!("{before}--write` -->\nstale\n<!-- end{after}")).expect("a copy");
    }
    let there = directory.to_str().expect("text");
    for refreshed in [pages.map(|page| format!("{page} is refreshed\n")).concat(), String::new()] {
        let output = coverage(&["--write", there]);
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).as_deref(), Ok(&*refreshed));
    }
    for page in pages {
        let [written, whole] = [&directory, &root].map(|at| fs::read_to_string(at.join(page)).expect("a page"));
        assert!(written == whole, "{page}: another page than the repository's came out");
    }
}

#[test]
fn what_cannot_be_written_or_read_is_said() {
    let directory = directory("broken");
    let there = directory.to_str().expect("text");
    let says = |arguments: &[&str], what: &str| {
        let output = coverage(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(text.starts_with("encore86: ") && text.contains(what), "{arguments:?}: {text}");
    };
    says(&["--write", there], "README.md: ");
    fs::write(directory.join("README.md"), "no markers\n").expect("a page");
    says(&["--write", there], "lacks the markers");
    let list = directory.join("list");
    let list = list.to_str().expect("text");
    says(&["--forms", list], list);
    fs::write(list, "id\tmnemonic\n").expect("a list");
    says(&["--forms", list], "no column iform");
    fs::write(list, "").expect("a list");
    says(&["--forms", list], "no column id");
}

/// One form, of which the processor has no such thing: opcode 0F FF with a prefix.
#[test]
fn a_form_that_does_not_decode_is_reported() {
    let directory = directory("form");
    let columns = "id mnemonic iform isa_set extension cpuid encspace map pfx osz66 opcode opcode_plus_r modrm_mod \
                   modrm_reg modrm_rm sib w vl imm opsize addrsize default64 operands mem_bits align disp8n disp8n_bcst \
                   bcst mask round exc_type flags_read flags_mod flags_undef flags_clear flags_set flags_cond cpl gate \
                   modes real_v86 lock rep rex2 nd nf scc vsib attributes xed_pattern";
    let columns: Vec<_> = columns.split_whitespace().collect();
    let line = |values: &[(&str, &str)]| {
        let cell = |column: &&str| values.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value);
        columns.iter().map(cell).collect::<Vec<_>>().join("\t")
    };
    let nop = [("id", "0"), ("mnemonic", "nop"), ("iform", "NOP"), ("encspace", "legacy"), ("map", "1B")];
    let nop = line(&[&nop[..], &[("opcode", "90"), ("osz66", "mustnot"), ("modes", "64"), ("w", "W0")]].concat());
    let none = [("id", "1"), ("mnemonic", "none"), ("iform", "NONE"), ("encspace", "legacy"), ("map", "0F")];
    let none = line(&[&none[..], &[("opcode", "36"), ("osz66", "mustnot"), ("modes", "64"), ("w", "W0")]].concat());
    for (lines, status, says) in [
        (vec![&nop], 0, "1 of 1 listed forms decode (1 encodings tried), to 1 of "),
        (vec![&nop, &none], 2, "1 of 2 listed forms decode (2 encodings tried), to 1 of "),
    ] {
        let list = directory.join("list");
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&list, format!("{}\n{text}", columns.join("\t"))).expect("a list");
        let output = coverage(&["--forms", list.to_str().expect("text")]);
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(says), "{text}");
        assert_eq!(text.contains("1 NONE: not decoded: 0f 36 Long64: "), status == 2, "{text}");
    }
    // What no encoding can be made from is said, with its line.
    for (from, to, says) in [
        ("\t90\t", "\t9\t", "line 2: opcode is \"9\""),
        ("legacy\t1B", "legacy\t7", "line 2: map is \"7\""),
        ("legacy\t1B", "zebra\t1B", "line 2: encspace is \"zebra\""),
        ("legacy\t1B", "EVEX\t1", "line 2: pfx is \"\""),
        ("\t64\t", "\t48\t", "line 2: modes is \"48\""),
        ("nop", "nop\t", "line 2: 51 cells under 50 columns"),
    ] {
        let list = directory.join("strange");
        let line = nop.replacen(from, to, 1);
        assert_ne!(line, nop);
        fs::write(&list, format!("{}\n{line}\n", columns.join("\t"))).expect("a list");
        let output = coverage(&["--forms", list.to_str().expect("text")]);
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(says), "{text}");
    }
}
