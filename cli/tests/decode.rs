//! `encore86 decode`. Expected values are written down from the manuals.

mod common;

use common::{difference, encore86};
use serde_json::{Value, json};

fn decode(arguments: &[&str], lines: &str) -> (Vec<Value>, i32) {
    encore86(&[&["decode"], arguments].concat(), lines.as_bytes())
}

fn check(arguments: &[&str], table: &[(&str, Value)]) {
    let lines: Vec<&str> = table.iter().map(|(hex, _)| *hex).collect();
    let (answers, status) = decode(arguments, &lines.join("\n"));
    assert_eq!((answers.len(), status), (table.len(), 0));
    for ((hex, expected), answer) in table.iter().zip(&answers) {
        assert_eq!(answer["hex"], *hex);
        if let Some(wrong) = difference(answer, expected) {
            panic!("{wrong}\n{hex}: {answer}");
        }
    }
}

fn mem(base: &str, disp: &str, access: &str, size: u64) -> Value {
    json!({"kind": "mem", "seg": "ds", "base": base, "index": null, "scale": 1, "disp": disp, "address_size": 8,
        "access": access, "size": size})
}

fn reg(name: &str, access: &str, size: u64) -> Value {
    json!({"kind": "reg", "reg": name, "access": access, "size": size})
}

#[test]
fn an_answer_has_the_documented_fields_and_no_others() {
    let (answers, _) = decode(&[], "0107");
    let expected = json!({
        "hex": "0107", "length": 2, "mnemonic": "add", "form": "add Ev,Gv", "isa_set": "BASE",
        "text": "add dword ptr [rdi], eax",
        "operands": [mem("rdi", "0x0", "rw", 4), reg("eax", "r", 4)],
        "lock": false, "rep": null, "mask": null, "zeroing": false, "broadcast": null, "rounding": null,
    });
    assert_eq!(answers, [expected]);
}

#[test]
fn operands_of_every_kind() {
    let string = |seg: &str, base: &str, access: &str| {
        json!({"kind": "mem", "seg": seg, "base": base, "index": null, "scale": 1, "disp": "0x0", "address_size": 8,
            "access": access, "size": 1, "implicit": true})
    };
    check(
        &[],
        &[
            (
                "b001",
                json!({"operands": [reg("al", "w", 1), {"kind": "imm", "value": "0x1", "access": "r", "size": 1}]}),
            ),
            ("488b5710", json!({"operands": [reg("rdx", "w", 8), mem("rdi", "0x10", "r", 8)]})),
            ("488b57f8", json!({"operands": [reg("rdx", "w", 8), mem("rdi", "0xfffffffffffffff8", "r", 8)]})),
            (
                "64678b440b08",
                json!({"operands": [reg("eax", "w", 4), {"kind": "mem", "seg": "fs", "base": "ebx", "index": "ecx",
                    "scale": 1, "disp": "0x8", "address_size": 4, "access": "r", "size": 4}]}),
            ),
            (
                "8b048d00000080",
                json!({"operands": [reg("eax", "w", 4), {"kind": "mem", "seg": "ds", "base": null, "index": "rcx",
                    "scale": 4, "disp": "0xffffffff80000000", "address_size": 8, "access": "r", "size": 4}]}),
            ),
            (
                "8b0510000000",
                json!({"operands": [reg("eax", "w", 4), {"kind": "mem", "seg": "ds", "base": "rip", "index": null,
                    "scale": 1, "disp": "0x10", "address_size": 8, "access": "r", "size": 4}]}),
            ),
            (
                "ebfe",
                json!({"mnemonic": "jmp", "length": 2,
                "operands": [{"kind": "rel", "target": "0x0", "access": "r", "size": 1}]}),
            ),
            (
                "f3a4",
                json!({"text": "rep movsb", "rep": "rep", "mnemonic": "movsb",
                "operands": [string("es", "rdi", "w"), string("ds", "rsi", "r")]}),
            ),
        ],
    );
}

#[test]
fn prefixes_and_conditions() {
    check(
        &[],
        &[
            ("f00fc107", json!({"lock": true, "mnemonic": "xadd", "text": "lock xadd dword ptr [rdi], eax"})),
            ("f3ae", json!({"rep": "repe", "text": "repe scasb"})),
            ("f2ae", json!({"rep": "repne", "text": "repne scasb"})),
            ("f2aa", json!({"rep": "rep"})),
            ("7400", json!({"mnemonic": "je"})),
            ("7200", json!({"mnemonic": "jb"})),
            ("0f95c0", json!({"mnemonic": "setne"})),
            ("0f47c1", json!({"mnemonic": "cmova", "isa_set": "CMOV"})),
            ("9090", json!({"hex": "9090", "length": 1, "mnemonic": "nop"})),
        ],
    );
}

#[test]
fn evex_decorations() {
    check(
        &["--profile", "all"],
        &[
            (
                "62f17c48584701",
                json!({"operands": [reg("zmm0", "w", 64), reg("zmm0", "r", 64),
                mem("rdi", "0x40", "r", 64)], "isa_set": "AVX512F", "mask": null, "zeroing": false}),
            ),
            (
                "62f17c5a584704",
                json!({"mask": 2, "broadcast": 16, "operands": [reg("zmm0", "rw", 64),
                reg("zmm0", "r", 64), mem("rdi", "0x10", "r", 4)]}),
            ),
            ("62f17cca5807", json!({"mask": 2, "zeroing": true, "broadcast": null})),
            ("62f17c1858c1", json!({"rounding": "rn", "broadcast": null})),
            ("62f17c3858c1", json!({"rounding": "rd"})),
            ("62f17c5858c1", json!({"rounding": "ru"})),
            ("62f17c7858c1", json!({"rounding": "rz"})),
        ],
    );
}

#[test]
fn modes_and_profiles() {
    check(&["--mode", "prot32"], &[("40", json!({"mnemonic": "inc", "length": 1, "text": "inc eax"}))]);
    check(&["--mode", "real16"], &[("b80100", json!({"text": "mov ax, 0x1", "length": 3}))]);
    check(&["--mode", "long64"], &[("48ffc0", json!({"text": "inc rax"}))]);
    let without = r#"{"base":"all","remove":["avx"]}"#;
    check(&["--profile", without], &[("c5fc5807", json!({"error": "invalid", "length": null}))]);
    check(&["--profile", "all"], &[("c5fc5807", json!({"mnemonic": "vaddps", "isa_set": "AVX"}))]);
    for wrong in [["--mode", "real"], ["--profile", "z80"], ["--profile", r#"{"base":1}"#]] {
        assert_eq!(decode(&wrong, ""), (vec![], 2), "{wrong:?}");
    }
}

#[test]
fn errors_are_told_apart() {
    let (answers, status) = decode(
        &[],
        &["66".repeat(14), "66".repeat(15), "66".repeat(20), "f0ffc0".into(), String::new(), "0g".into(), "9".into()]
            .join("\n"),
    );
    let errors: Vec<&Value> = answers.iter().map(|a| &a["error"]).collect();
    assert_eq!(errors, ["truncated", "too_long", "too_long", "invalid", "truncated", "malformed", "malformed"]);
    assert_eq!(status, 2, "two lines are no hex strings");
    assert!(answers.iter().all(|a| a.as_object().unwrap().len() == 3 && !a["reason"].as_str().unwrap().is_empty()));
}
