//! `encore86 exec`, field by field. Expected values are written down from the manuals and the protocol.

mod common;

use common::{difference, encore86};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

fn exec(lines: &[String]) -> (Vec<Value>, i32) {
    encore86(&["exec"], format!("{}\n", lines.join("\n")).as_bytes())
}

/// Runs cases and compares the fields that are listed; `null` says that a field is absent.
fn check(table: &[(Value, Value)]) {
    let lines: Vec<String> = table.iter().map(|(case, _)| case.to_string()).collect();
    let (results, status) = exec(&lines);
    assert_eq!(results.len(), table.len(), "a line for each case");
    for ((case, expected), result) in table.iter().zip(&results) {
        if let Some(wrong) = difference(result, expected) {
            panic!("{wrong}\ncase   {case}\nresult {result}");
        }
    }
    assert_eq!(status, 0);
}

/// One case alone, all of its result.
fn one(case: &Value) -> Value {
    exec(&[case.to_string()]).0.remove(0)
}

#[test]
fn a_result_has_the_documented_fields_and_no_others() {
    // add [rdi], eax: 0x01 + 0xff = 0x100; low byte 0 sets PF, the carry out of bit 3 sets AF.
    let case = json!({"id": "a", "code": "0107", "regs": {"rdi": "0x20000", "rax": 1},
        "mem": [{"at": "0x20000", "hex": "ff000000"}]});
    let expected = json!({
        "id": "a", "outcome": "retired", "steps": 1, "length": 2, "form": "add Ev,Gv",
        "accesses": [{"kind": "rmw", "at": "0x20000", "old": "ff000000", "new": "00010000"}],
        "regs": {"rip": "0x10002", "rflags": "0x16"},
        "mem": [{"at": "0x20000", "hex": "0001"}],
    });
    assert_eq!(one(&case), expected);
    let refused = json!({"id": "b", "outcome": "bad_case", "steps": 0, "accesses": [],
        "reason": "code: it has no default; write the instruction's bytes"});
    assert_eq!(one(&json!({"id": "b"})), refused);
}

#[test]
fn outcomes() {
    let mem = json!([{"at": "0x20000", "hex": "0102030405060708"}]);
    check(&[
        (json!({"code": "90"}), json!({"outcome": "retired", "steps": 1, "reason": null, "exception": null})),
        (json!({"code": "f4"}), json!({"outcome": "hlt", "steps": 1, "retire": ["hlt"], "regs": {"rip": "0x10001"}})),
        (
            json!({"code": "8b07", "regs": {"rdi": "0x20006"}, "mem": mem}),
            json!({"outcome": "exception", "exception": {"vector": 14, "error_code": 0, "cr2": "0x20008"},
                "accesses": [], "steps": 0, "regs": null}),
        ),
        (
            json!({"code": "f4", "cpl": 3}),
            json!({"outcome": "exception", "exception": {"vector": 13, "error_code": 0}, "regs": null}),
        ),
        (
            json!({"code": "0f0b"}),
            json!({"outcome": "exception", "exception": {"vector": 6, "error_code": null}, "length": 2}),
        ),
        (
            json!({"code": "cc"}),
            json!({"outcome": "exception", "exception": {"vector": 3, "error_code": null}, "regs": {"rip": "0x10001"}}),
        ),
        (
            json!({"code": "8b07", "regs": {"rdi": "0x20000"}, "mmio": [{"at": "0x20000", "zero": 4, "retry": 1}]}),
            json!({"outcome": "retry", "steps": 0, "accesses": [], "regs": null, "mem": null}),
        ),
    ]);
}

#[test]
fn a_profile_is_a_model_or_made_from_one() {
    let gfni = json!({"base": "haswell", "add": ["gfni"], "remove": ["avx2"]});
    let amd = json!({"base": "haswell", "vendor": "amd"});
    // Family, model and stepping of a Genoa; "Genu" and "Auth"; GFNI is bit 8 of ECX, AVX2 bit 5 of EBX in leaf 7.
    let cases = [
        (json!("zen4"), "0x1", "rax", json!("0xa10f11")),
        (json!("haswell"), "0x0", "rbx", json!("0x756e6547")),
        (amd, "0x0", "rbx", json!("0x68747541")),
        (json!("haswell"), "0x7", "rbx", json!("0x7a9")),
        (json!("haswell"), "0x7", "rcx", Value::Null),
        (gfni.clone(), "0x7", "rbx", json!("0x789")),
        (gfni, "0x7", "rcx", json!("0x100")),
    ];
    for (profile, leaf, register, expected) in cases {
        let result = one(&json!({"code": "0fa2", "profile": profile, "regs": {"rax": leaf}}));
        assert_eq!(result["outcome"], "retired", "{result}");
        assert_eq!(result["regs"][register], expected, "{profile} {leaf} {register}");
    }
    check(&[(
        json!({"code": "62f1fe086f0b", "profile": "haswell"}),
        json!({"outcome": "exception", "exception": {"vector": 6, "error_code": null}, "steps": 0}),
    )]);
}

/// A 32-bit handler at 18h:5000h for vectors 6 (a trap gate), 13 and 32 (interrupt gates).
fn handlers(more: serde_json::Value) -> serde_json::Value {
    let gate = |kind: &str| format!("0050180000{kind}0000");
    let mut case = json!({
        "mode": "prot32", "code": "0f0b", "deliver": true,
        "regs": {"rsp": "0x8000", "rflags": "0x202"},
        "seg": {"cs": {"sel": "0x18"}},
        "gdtr": {"base": "0x1000", "limit": 31}, "idtr": {"base": "0x2000", "limit": 263},
        "mem": [
            {"at": "0x1018", "hex": "ffff0000009bcf00"},
            {"at": "0x2000", "zero": 264},
            {"at": "0x7000", "zero": 4096}
        ]
    });
    let idt = format!("{}{}{}{}", "00".repeat(48), gate("8f"), "00".repeat(48), gate("8e"));
    case["mem"][1] = json!({"at": "0x2000", "hex": format!("{idt}{}{}", "00".repeat(264 - 8 - 112), gate("8e"))});
    for (key, value) in more.as_object().unwrap() {
        case[key] = value.clone();
    }
    case
}

#[test]
fn events_are_delivered() {
    let idtr = json!({"base": "0x2000", "limit": 7});
    check(&[
        // UD2: rIP is at the handler, one step; a fault's flags have RF.
        (
            handlers(json!({})),
            json!({"outcome": "retired", "steps": 1, "regs": {"rip": "0x5000", "rsp": "0x7ff4"},
                "mem": [{"at": "0x7ff6", "hex": "01"}, {"at": "0x7ff8", "hex": "18"}, {"at": "0x7ffc", "hex": "020201"}]}),
        ),
        // An interrupt before a NOP is no step, and clears IF.
        (
            handlers(json!({"code": "90", "event": {"type": "interrupt", "vector": 32}, "max_steps": 0})),
            json!({"outcome": "retired", "steps": 0, "regs": {"rip": "0x5000", "rsp": "0x7ff4", "rflags": "0x2"}}),
        ),
        // An exception with an error code.
        (
            handlers(
                json!({"code": "90", "event": {"type": "exception", "vector": 13, "error_code": 24}, "max_steps": 0}),
            ),
            json!({"outcome": "retired", "regs": {"rip": "0x5000", "rsp": "0x7ff0", "rflags": "0x2"}}),
        ),
        // An IDT that holds no gate for anything: #GP while #UD is delivered is delivered too, then #DF, then it is over.
        (handlers(json!({"idtr": idtr})), json!({"outcome": "shutdown", "steps": 0})),
    ]);
}

/// A processor under FRED: entry points at 5000h, stack 0 below 9000h, ring 0 at selector 8, ring 3 from 23h on.
fn fred(more: serde_json::Value) -> serde_json::Value {
    let mut case = json!({
        "cr4": "0x100040628", "profile": "all", "regs": {"rsp": "0x8000"},
        "msr": {"0x1cc": "0x9000", "0x1d0": 0, "0x1d4": "0x5000", "0xc0000081": "0x0020000800000000"},
        "mem": [{"at": "0x7f00", "zero": 0x1100}]
    });
    for (key, value) in more.as_object().unwrap() {
        case[key] = value.clone();
    }
    case
}

#[test]
fn events_come_by_fred() {
    // RIP, CS, RFLAGS, RSP and SS, which says vector and type of the event and 64-bit mode.
    let frame = |rest: &[(&str, &str)]| {
        let all = [
            ("0x8fca", "01"),
            ("0x8fd0", "0b"),
            ("0x8fd8", "02"),
            ("0x8fda", "01"),
            ("0x8fe1", "80"),
            ("0x8fe8", "13"),
        ];
        let runs = all.iter().chain(rest).map(|(at, hex)| json!({"at": at, "hex": hex}));
        Value::Array(runs.collect())
    };
    let returned = ["00", "0040", "33", "0202", "0070", "2b"].map(|entry| format!("{entry:0<16}")).concat();
    check(&[
        // UD2 in ring 3.
        (
            fred(json!({"code": "0f0b", "cpl": 3, "deliver": true})),
            json!({"outcome": "retired", "steps": 1, "regs": {"rip": "0x5000", "rsp": "0x8fc0"},
                "mem": frame(&[("0x8fec", "06"), ("0x8fee", "0302")])}),
        ),
        // A page fault of the case's own, whose address is CR2.
        (
            fred(json!({"code": "90", "cpl": 3, "cr2": "0x1122", "max_steps": 0,
                "event": {"type": "exception", "vector": 14}})),
            json!({"outcome": "retired", "steps": 0, "regs": {"rip": "0x5000", "rsp": "0x8fc0"},
                "mem": frame(&[("0x8fec", "0e"), ("0x8fee", "03022211")])}),
        ),
        // SYSCALL is carried out, whether events are delivered or not.
        (
            fred(json!({"code": "0f05", "cpl": 3})),
            json!({"outcome": "retired", "steps": 1, "regs": {"rip": "0x5000", "rsp": "0x8fc0"}}),
        ),
        // An interrupt in ring 0, whose level is 1.
        (
            fred(json!({"code": "90", "max_steps": 0, "event": {"type": "interrupt", "vector": 32},
                "msr": {"0x1cd": "0x8800", "0x1d4": "0x5200"}})),
            json!({"outcome": "retired", "regs": {"rip": "0x5100", "rsp": "0x87c0"}, "msr": {"0x1d4": "0x5201"}}),
        ),
        // ERETU to 33h:4000h.
        (
            fred(json!({"code": "f30f01ca", "mem": [{"at": "0x8000", "hex": returned}]})),
            json!({"outcome": "retired", "regs": {"rip": "0x4000", "rsp": "0x7000", "rflags": "0x202"},
            "seg": {
                "cs": {"sel": "0x33", "attr": "0xa0fb", "limit": "0xffffffff", "base": "0x0"},
                "ss": {"sel": "0x2b", "attr": "0xc0f3", "limit": "0xffffffff", "base": "0x0"}
            }}),
        ),
    ]);
}

/// Cases that are wrong, and what the reason has to name.
const BAD: &[(&str, &str)] = &[
    ("", "empty"),
    ("hello", "line 1"),
    ("[]", "expected an object"),
    (r#"["90"]"#, "expected an object"),
    (r#"{"code":"90"} {}"#, "trailing"),
    (r#"{"code":"90""#, "EOF"),
    (r#"{"id":"x"}"#, "code: it has no default"),
    (r#"{"code":"90","colour":1}"#, "unknown field `colour`"),
    (r#"{"code":"90","code":"90"}"#, "duplicate field `code`"),
    (r#"{"code":"9"}"#, "code:"),
    (r#"{"code":"9g"}"#, "'g'"),
    (r#"{"code":"90 90"}"#, "' '"),
    (r#"{"code":144}"#, "code:"),
    (r#"{"code":null}"#, "code:"),
    (r#"{"code":"90","id":[]}"#, "id:"),
    (r#"{"code":"90","mode":"real"}"#, "real16, v86, prot16, prot32, compat16, compat32, long64"),
    (r#"{"code":"90","mode":{"long64":null}}"#, "mode:"),
    (r#"{"code":"90","cpl":4}"#, "cpl:"),
    (r#"{"code":"90","cpl":-1}"#, "cpl:"),
    (r#"{"code":"90","cpl":1.0}"#, "cpl:"),
    (r#"{"code":"90","cpl":null}"#, "cpl:"),
    (r#"{"code":"90","mode":"real16","cpl":3}"#, "cpl:"),
    (r#"{"code":"90","mode":"v86","cpl":0}"#, "cpl:"),
    (r#"{"code":"90","regs":[1]}"#, "regs:"),
    (r#"{"code":"90","regs":{"eax":1}}"#, "regs.eax"),
    (r#"{"code":"90","regs":{"r32":1}}"#, "regs.r32"),
    (r#"{"code":"90","regs":{"rax":1,"rax":1}}"#, "\"rax\" is given twice"),
    (r#"{"code":"90","regs":{"rax":"12"}}"#, "regs.rax"),
    (r#"{"code":"90","regs":{"rax":"0x"}}"#, "regs.rax"),
    (r#"{"code":"90","regs":{"rax":"0x+1"}}"#, "regs.rax"),
    (r#"{"code":"90","regs":{"rax":"0x10000000000000000"}}"#, "regs.rax"),
    (r#"{"code":"90","regs":{"rax":18446744073709551616}}"#, "regs.rax"),
    (r#"{"code":"90","regs":{"rflags":"0x20002"}}"#, "VM"),
    (r#"{"code":"90","mode":"v86","regs":{"rflags":2}}"#, "VM"),
    (r#"{"code":"90","regs":{"rflags":"0x80000002"}}"#, "0x80000000"),
    (r#"{"code":"90","seg":{"hs":{}}}"#, "seg.hs"),
    (r#"{"code":"90","seg":{"cs":[8]}}"#, "seg.cs"),
    (r#"{"code":"90","seg":{"cs":{"selector":8}}}"#, "unknown field `selector`"),
    (r#"{"code":"90","seg":{"ds":{"sel":"0x10000"}}}"#, "seg.ds.sel"),
    (r#"{"code":"90","seg":{"tr":{"limit":"0x100000000"}}}"#, "seg.tr.limit"),
    (r#"{"code":"90","seg":{"ds":{"attr":"0x20000"}}}"#, "seg.ds.attr"),
    (r#"{"code":"90","seg":{"cs":{"attr":"0xc09b"}}}"#, "L (0x2000)"),
    (r#"{"code":"90","seg":{"cs":{"attr":"0xe09b"}}}"#, "D (0x4000)"),
    (r#"{"code":"90","mode":"prot16","seg":{"cs":{"attr":"0x409b"}}}"#, "D (0x4000)"),
    (r#"{"code":"90","mode":"compat32","seg":{"cs":{"attr":"0x9b"}}}"#, "D (0x4000)"),
    (r#"{"code":"90","mode":"prot32","seg":{"cs":{"attr":"0x609b"}}}"#, "L (0x2000)"),
    (r#"{"code":"90","cpl":3,"seg":{"ss":{"attr":"0xc093"}}}"#, "DPL 0"),
    (r#"{"code":"90","mode":"v86","seg":{"ss":{"attr":"0x93"}}}"#, "DPL 0"),
    (r#"{"code":"90","gdtr":{"limit":"0x10000"}}"#, "gdtr.limit"),
    (r#"{"code":"90","idtr":{"size":1}}"#, "unknown field `size`"),
    (r#"{"code":"90","cr0":"0x32"}"#, "PE"),
    (r#"{"code":"90","mode":"real16","cr0":"0x11"}"#, "PE"),
    (r#"{"code":"90","efer":"0x1"}"#, "0x500"),
    (r#"{"code":"90","mode":"prot32","efer":"0x500"}"#, "0x400"),
    (r#"{"code":"90","cr8":16}"#, "cr8"),
    (r#"{"code":"90","dr4":0}"#, "unknown field `dr4`"),
    (r#"{"code":"90","pkru":"0x100000000"}"#, "pkru"),
    (r#"{"code":"90","msr":{"0xc0000080":1}}"#, "`efer`"),
    (r#"{"code":"90","msr":{"0xda0":1}}"#, "`xss`"),
    (r#"{"code":"90","msr":{"0xc0000100":1}}"#, "`seg.fs.base`"),
    (r#"{"code":"90","msr":{"0xc0000101":1}}"#, "`seg.gs.base`"),
    (r#"{"code":"90","msr":{"0x174":1,"372":1}}"#, "0x174 is given twice"),
    (r#"{"code":"90","msr":{"lstar":1}}"#, "msr:"),
    (r#"{"code":"90","zmm":{"32":"00"}}"#, "zmm.32"),
    (r#"{"code":"90","zmm":{"01":"00"}}"#, "zmm.01"),
    (r#"{"code":"90","k":{"8":1}}"#, "k.8"),
    (r#"{"code":"90","mxcsr":"0x11f80"}"#, "0x10000"),
    (r#"{"code":"90","x87":{"fop":"0x800"}}"#, "x87.fop"),
    (r#"{"code":"90","x87":{"ftw":"0x100"}}"#, "x87.ftw"),
    (r#"{"code":"90","x87":{"fcw":"0x10000"}}"#, "x87.fcw"),
    (r#"{"code":"90","x87":{"st":["00"]}}"#, "x87.st[0]"),
    (r#"{"code":"90","x87":{"tag":1}}"#, "unknown field `tag`"),
    (r#"{"code":"90","tmm":{"8":""}}"#, "tmm.8"),
    (r#"{"code":"90","tilecfg":"00"}"#, "tilecfg"),
    (r#"{"code":"90","mem":{}}"#, "mem:"),
    (r#"{"code":"90","mem":[{"hex":"00"}]}"#, "mem[0].at"),
    (r#"{"code":"90","mem":[{"at":0}]}"#, "mem[0]: write either hex or zero"),
    (r#"{"code":"90","mem":[{"at":0,"hex":"00","zero":1}]}"#, "mem[0]: write either hex or zero"),
    (r#"{"code":"90","mem":[{"at":0,"hex":"00","retry":1}]}"#, "unknown field `retry`"),
    (r#"{"code":"90","mem":[{"at":0,"zero":4},{"at":3,"zero":4}]}"#, "0x0 and 0x3 overlap"),
    (r#"{"code":"90","mem":[{"at":0,"zero":4}],"mmio":[{"at":3,"zero":4}]}"#, "overlap"),
    (r#"{"code":"90","mem":[{"at":"0xffffffffffffffff","zero":2}]}"#, "end of the address space"),
    (r#"{"code":"90","mem":[{"at":0,"zero":"0x40000001"}]}"#, "at most 0x40000000"),
    (r#"{"code":"90","mmio":[{"at":0,"zero":4,"delay":1}]}"#, "unknown field `delay`"),
    (r#"{"code":"90","io":{"0x10000":1}}"#, "io"),
    (r#"{"code":"90","io":{"0x80":"0x100000000"}}"#, "io.0x80"),
    (r#"{"code":"90","io":{"0x10":1,"16":1}}"#, "0x10 is given twice"),
    (r#"{"code":"90","profile":"z80"}"#, "choose host, all or one of"),
    (r#"{"code":"90","profile":{"base":"z80"}}"#, "choose host, all or one of"),
    (r#"{"code":"90","profile":{"vendor":"via"}}"#, "amd, intel"),
    (r#"{"code":"90","profile":{"add":["sse9"]}}"#, "/proc/cpuinfo"),
    (r#"{"code":"90","profile":{"remove":["sse9"]}}"#, "/proc/cpuinfo"),
    (r#"{"code":"90","profile":{"add":["avx"],"remove":["avx"]}}"#, "both added and removed"),
    (r#"{"code":"90","profile":{"model":1}}"#, "unknown field `model`"),
    (r#"{"code":"90","profile":7}"#, "profile:"),
    (r#"{"code":"90","max_steps":"many"}"#, "max_steps"),
    (r#"{"code":"90","until":""}"#, "until"),
    (r#"{"code":"90","deliver":1}"#, "deliver"),
    (r#"{"code":"90","event":{}}"#, "event.type"),
    (r#"{"code":"90","event":{"type":"smi"}}"#, "interrupt, nmi, exception, software"),
    (r#"{"code":"90","event":{"type":"interrupt"}}"#, "event.vector"),
    (r#"{"code":"90","event":{"type":"interrupt","vector":256}}"#, "event.vector"),
    (r#"{"code":"90","event":{"type":"nmi","vector":3}}"#, "event.vector"),
    (r#"{"code":"90","event":{"type":"exception","vector":32}}"#, "event.vector"),
    (r#"{"code":"90","event":{"type":"interrupt","vector":32,"error_code":0}}"#, "event.error_code"),
    (r#"{"code":"90","blocking":["smi"]}"#, "mov_ss, sti, nmi"),
    (r#"{"code":"90","blocking":"sti"}"#, "blocking"),
    (r#"{"code":"90","split_lock":"exclusive"}"#, "emulate, fault, native"),
    (r#"{"code":"90","introspect":{"discard":true}}"#, "unknown field `discard`"),
    (r#"{"code":"90","introspect":{"overlay":[{"at":0}]}}"#, "introspect.overlay[0].hex"),
    (r#"{"code":"90","introspect":{"overlay":[{"hex":""}]}}"#, "introspect.overlay[0].at"),
    (r#"{"code":"90","introspect":{"insn":"9"}}"#, "introspect.insn"),
    (r#"{"code":"90","seed":true}"#, "seed"),
    (r#"{"code":"90","fetches":"yes"}"#, "fetches"),
    (r#"{"code":"90","full":0}"#, "full"),
    // What is wrong counts before what comes later.
    (r#"{"code":"90","deliver":true,"split_lock":"no"}"#, "emulate, fault, native"),
];

#[test]
fn bad_cases_name_what_is_wrong_and_the_next_line_is_read() {
    let mut lines = Vec::new();
    for (line, _) in BAD {
        lines.extend([line.to_string(), r#"{"id":"next","code":"90"}"#.to_owned()]);
    }
    let (results, status) = exec(&lines);
    assert_eq!((results.len(), status), (lines.len(), 2));
    for ((line, reason), pair) in BAD.iter().zip(results.chunks(2)) {
        assert_eq!(pair[0]["outcome"], "bad_case", "{line}: {}", pair[0]);
        let why = pair[0]["reason"].as_str().unwrap();
        assert!(why.contains(reason), "{line}: {why:?} does not name {reason:?}");
        assert_eq!((&pair[0]["steps"], &pair[0]["accesses"]), (&json!(0), &json!([])), "{line}");
        assert_eq!((&pair[1]["id"], &pair[1]["outcome"]), (&json!("next"), &json!("retired")), "{line}");
    }
}

#[test]
fn ids_come_back_even_from_bad_cases() {
    let lines = [r#"{"code":"90"}"#, r#"{"id":"ä","code":"9"}"#, r#"{"id":7,"code":"90"}"#, r#"{"id":"x""#];
    let (results, status) = exec(&lines.map(String::from));
    let ids: Vec<&Value> = results.iter().map(|r| &r["id"]).collect();
    assert_eq!((ids, status), (vec![&json!(""), &json!("ä"), &json!(7), &json!("")], 2));
}

#[test]
fn lines_that_are_no_text_are_bad_cases() {
    let (results, status) = encore86(&["exec"], b"\xff\xfe\n{\"code\":\"90\"}");
    assert_eq!(results[0]["outcome"], "bad_case");
    assert_eq!(results[1]["outcome"], "retired", "a last line without an end is a line");
    assert_eq!((results.len(), status), (2, 2));
    let deep = [b"[".repeat(100_000), b"\n".to_vec()].concat();
    assert_eq!(encore86(&["exec"], &deep).0[0]["outcome"], "bad_case");
    assert_eq!(encore86(&["exec"], b""), (vec![], 0));
}

#[test]
fn a_missing_file_is_a_sentence() {
    let output = Command::new(env!("CARGO_BIN_EXE_encore86")).args(["exec", "/no/such/file"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot open /no/such/file"), "{said}");
}

#[test]
fn every_line_is_answered_before_the_next_is_read() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_encore86"))
        .arg("exec")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for i in 0..3 {
        writeln!(stdin, r#"{{"id":"{i}","code":"90"}}"#).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.contains(&format!(r#""id":"{i}""#)), "{line}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn numbers_are_integers_or_hex_strings() {
    check(&[
        (
            json!({"code": "ffc0", "regs": {"rax": 41, "rip": 65552}}),
            json!({"regs": {"rax": "0x2a", "rip": "0x10012"}}),
        ),
        (
            json!({"code": "48ffc0", "regs": {"rax": "0xFFFFffffFFFFfffe"}}),
            json!({"regs": {"rax": "0xffffffffffffffff", "rip": "0x10003", "rflags": "0x86"}}),
        ),
        (json!({"code": "48ffc0", "regs": {"rax": u64::MAX - 1}}), json!({"outcome": "retired", "length": 3})),
    ]);
}
