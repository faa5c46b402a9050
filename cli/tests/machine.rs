//! `encore86 exec`: what each field of a case does to the machine, and how it shows in the result.

mod common;

use common::{difference, encore86};
use serde_json::{Value, json};

/// Runs cases and compares the fields that are listed; `null` says that a field is absent.
fn check(table: &[(Value, Value)]) {
    let lines: Vec<String> = table.iter().map(|(case, _)| case.to_string()).collect();
    let (results, status) = encore86(&["exec"], lines.join("\n").as_bytes());
    assert_eq!((results.len(), status), (table.len(), 0));
    for ((case, expected), result) in table.iter().zip(&results) {
        if let Some(wrong) = difference(result, expected) {
            panic!("{wrong}\ncase   {case}\nresult {result}");
        }
    }
}

fn run(case: &Value) -> Value {
    encore86(&["exec"], case.to_string().as_bytes()).0.remove(0)
}

/// One access of an unlocked kind.
fn access(kind: &str, at: &str, hex: &str) -> Value {
    json!({"kind": kind, "at": at, "hex": hex})
}

#[test]
fn defaults_by_mode() {
    let segment = |sel: &str, limit: &str, attr: &str| json!({"sel": sel, "base": "0x0", "limit": limit, "attr": attr});
    let flat = "0xffffffff";
    // mode, cpl, rip, rflags, cr0, cr4, efer, cs, ss, fs
    let table = [
        (
            "long64",
            0,
            "0x10001",
            "0x2",
            "0x80000033",
            "0x40628",
            "0xd01",
            segment("0x8", flat, "0xa09b"),
            segment("0x10", flat, "0xc093"),
            segment("0x0", flat, "0xc093"),
        ),
        (
            "long64",
            3,
            "0x10001",
            "0x2",
            "0x80000033",
            "0x40628",
            "0xd01",
            segment("0xb", flat, "0xa0fb"),
            segment("0x13", flat, "0xc0f3"),
            segment("0x0", flat, "0xc0f3"),
        ),
        (
            "compat32",
            3,
            "0x10001",
            "0x2",
            "0x80000033",
            "0x40628",
            "0xd01",
            segment("0xb", flat, "0xc0fb"),
            segment("0x13", flat, "0xc0f3"),
            segment("0x0", flat, "0xc0f3"),
        ),
        (
            "compat16",
            0,
            "0x101",
            "0x2",
            "0x80000033",
            "0x40628",
            "0xd01",
            segment("0x8", "0xffff", "0x9b"),
            segment("0x10", "0xffff", "0x93"),
            segment("0x0", "0xffff", "0x93"),
        ),
        (
            "prot32",
            1,
            "0x10001",
            "0x2",
            "0x33",
            "0x40608",
            "0x0",
            segment("0x9", flat, "0xc0bb"),
            segment("0x11", flat, "0xc0b3"),
            segment("0x0", flat, "0xc0b3"),
        ),
        (
            "prot16",
            0,
            "0x101",
            "0x2",
            "0x33",
            "0x40608",
            "0x0",
            segment("0x8", "0xffff", "0x9b"),
            segment("0x10", "0xffff", "0x93"),
            segment("0x0", "0xffff", "0x93"),
        ),
        (
            "real16",
            0,
            "0x101",
            "0x2",
            "0x32",
            "0x40608",
            "0x0",
            segment("0x0", "0xffff", "0x9b"),
            segment("0x0", "0xffff", "0x93"),
            segment("0x0", "0xffff", "0x93"),
        ),
        (
            "v86",
            3,
            "0x101",
            "0x20002",
            "0x33",
            "0x40608",
            "0x0",
            segment("0x0", "0xffff", "0xf3"),
            segment("0x0", "0xffff", "0xf3"),
            segment("0x0", "0xffff", "0xf3"),
        ),
    ];
    for (mode, cpl, rip, rflags, cr0, cr4, efer, cs, ss, fs) in table {
        let r = run(&json!({"mode": mode, "cpl": cpl, "code": "90", "full": true}));
        assert_eq!(r["outcome"], "retired", "{mode}: {r}");
        let found = [&r["regs"]["rip"], &r["regs"]["rflags"], &r["cr0"], &r["cr4"], &r["efer"]];
        assert_eq!(found, [rip, rflags, cr0, cr4, efer], "{mode}");
        let seg = &r["seg"];
        assert_eq!([&seg["cs"], &seg["ss"], &seg["ds"], &seg["es"]], [&cs, &ss, &ss, &ss], "{mode}");
        assert_eq!([&seg["fs"], &seg["gs"]], [&fs, &fs], "{mode}");
        assert_eq!(seg["tr"], segment("0x0", "0x67", "0x8b"), "{mode}");
        assert_eq!(seg["ldtr"], segment("0x0", "0x0", "0x10000"), "{mode}");
        assert_eq!([&r["dr6"], &r["dr7"], &r["mxcsr"]], ["0xffff0ff0", "0x400", "0x1f80"], "{mode}");
        assert_eq!([&r["cr2"], &r["cr3"], &r["cr8"], &r["xss"], &r["pkru"], &r["ssp"]], ["0x0"; 6], "{mode}");
        assert_eq!(r["gdtr"], json!({"base": "0x0", "limit": "0x0"}), "{mode}");
        assert_eq!((&r["x87"]["fcw"], &r["x87"]["ftw"]), (&json!("0x37f"), &json!("0x0")), "{mode}");
    }
}

#[test]
fn full_prints_every_register_as_it_was_given() {
    let regs: Vec<String> = (0..32)
        .map(|i| {
            ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"].get(i).map_or(format!("r{i}"), |r| r.to_string())
        })
        .collect();
    let values: serde_json::Map<String, Value> =
        regs.iter().enumerate().map(|(i, r)| (r.clone(), json!(format!("{:#x}", 0x1111 * (i + 1))))).collect();
    let st: Vec<String> = (0..8).map(|i| format!("{:02x}", 0xa0 + i).repeat(10)).collect();
    let mut case = json!({
        "code": "90", "full": true, "regs": values,
        "seg": {"gs": {"sel": "0x33", "base": "0x7f0000001000", "limit": "0x1234", "attr": "0x40f3"}},
        "gdtr": {"base": "0xffff800000000000", "limit": "0x7f"}, "idtr": {"base": "0x1000", "limit": "0xfff"},
        "cr2": "0x1", "cr3": "0x2000", "cr4": "0x668", "cr8": "0xf", "efer": "0x501", "xcr0": "0x3", "xss": "0x100",
        "pkru": "0x55555554", "ssp": "0x8000", "dr0": "0x10", "dr1": "0x11", "dr2": "0x12", "dr3": "0x13",
        "dr6": "0xffff0ff1", "dr7": "0x401",
        "k": {"0": "0x1", "7": "0xffffffffffffffff"}, "mxcsr": "0x1fa0",
        "x87": {"fcw": "0x27f", "fsw": "0x3000", "ftw": "0xc1", "fop": "0x7ff", "fip": "0x99", "fdp": "0x98", "st": st},
        "msr": {"0x174": "0x1", "0xc0000082": "0x2", "0xc0000102": "0x3", "0x12345": "0x4"},
    });
    let r = run(&case);
    for field in [
        "gdtr", "idtr", "cr2", "cr3", "cr4", "cr8", "efer", "xcr0", "xss", "pkru", "ssp", "dr0", "dr1", "dr2", "dr3",
        "dr6", "dr7", "mxcsr", "x87",
    ] {
        assert_eq!(r[field], case[field], "{field}");
    }
    for (table, name) in [
        ("regs", "r31"),
        ("regs", "rax"),
        ("seg", "gs"),
        ("k", "0"),
        ("k", "7"),
        ("msr", "0x174"),
        ("msr", "0xc0000082"),
        ("msr", "0xc0000102"),
        ("msr", "0x12345"),
    ] {
        assert_eq!(r[table][name], case[table][name], "{table}.{name}");
    }
    for name in &regs {
        assert_eq!(r["regs"][name], case["regs"][name], "{name}");
    }
    assert_eq!((&r["k"]["1"], &r["msr"]["0xc0000084"]), (&json!("0x0"), &json!("0x0")));
    assert_eq!(r["zmm"].as_object().unwrap().len(), 32);
    assert_eq!(r["tmm"].as_object().unwrap().len(), 8);
    assert_eq!(r["mem"], json!([{"at": "0x10000", "hex": format!("90{}", "00".repeat(4095))}]));

    // Shorter vectors are extended with zeros.
    case = json!({"code": "90", "full": true, "zmm": {"3": "0102", "31": "ff".repeat(64)}, "tmm": {"2": "77"},
        "tilecfg": "01".repeat(64)});
    let r = run(&case);
    assert_eq!(r["zmm"]["3"], format!("0102{}", "00".repeat(62)));
    assert_eq!((&r["zmm"]["31"], &r["zmm"]["0"]), (&json!("ff".repeat(64)), &json!("00".repeat(64))));
    assert_eq!(r["tmm"]["2"], format!("77{}", "00".repeat(1023)));
    assert_eq!(r["tilecfg"], case["tilecfg"]);
}

#[test]
fn only_what_differs_is_printed() {
    check(&[(
        json!({"code": "90", "regs": {"rax": 5}, "zmm": {"1": "01"}, "k": {"1": 1}, "mem": [{"at": 0, "hex": "01"}],
            "cr8": 3, "dr7": "0x401", "x87": {"fcw": "0x27f"}}),
        json!({"regs": {"rip": "0x10001"}, "seg": null, "cr8": null, "dr7": null, "zmm": null, "k": null, "mxcsr": null,
            "x87": null, "tmm": null, "msr": null, "mem": null, "gdtr": null, "retire": null, "accesses": []}),
    )]);
}

#[test]
fn segments_merge_over_the_defaults() {
    let mem = json!([{"at": "0x20002", "hex": "1234"}]);
    let read = json!([access("read", "0x20002", "1234")]);
    check(&[
        // mov ax, [2]: a selector alone makes the base in real mode, a base that is given counts.
        (
            json!({"mode": "real16", "code": "a10200", "seg": {"cs": {"sel": "0x100"}, "ds": {"sel": "0x2000"}},
                "mem": mem, "fetches": true}),
            json!({"accesses": [access("fetch", "0x1100", "a10200"), read[0]], "regs": {"rax": "0x3412", "rip": "0x103"}}),
        ),
        (
            json!({"mode": "v86", "code": "a10200", "seg": {"ds": {"sel": "0x9999", "base": "0x20000"}}, "mem": mem}),
            json!({"accesses": read}),
        ),
        (
            json!({"mode": "prot16", "code": "a10200", "seg": {"ds": {"base": "0x20000", "limit": 3}}, "mem": mem}),
            json!({"accesses": read}),
        ),
        (
            json!({"mode": "prot16", "code": "a10200", "seg": {"ds": {"base": "0x20000", "limit": 2}}, "mem": mem}),
            json!({"outcome": "exception", "exception": {"vector": 13, "error_code": 0}, "accesses": []}),
        ),
        // mov eax, fs:[rdi] in 64-bit mode.
        (
            json!({"code": "64668b07", "regs": {"rdi": 2}, "seg": {"fs": {"base": "0x20000"}}, "mem": mem}),
            json!({"accesses": read, "regs": {"rax": "0x3412", "rip": "0x10004"}}),
        ),
    ]);
}

#[test]
fn a_segment_or_the_x87_is_printed_whole() {
    // mov ds, eax in real mode; fld1, whose register is R7 and then ST(0).
    let real = json!({"mode": "real16", "code": "8ed8", "regs": {"rax": "0x1234"}});
    let r = run(&real);
    if r["outcome"] != "unsupported" {
        let ds = json!({"ds": {"sel": "0x1234", "base": "0x12340", "limit": "0xffff", "attr": "0x93"}});
        assert_eq!(r["seg"], ds, "{r}");
    } else {
        println!("SKIPPED: mov ds: {}", r["reason"]);
    }
    let r = run(&json!({"code": "d9e8", "x87": {"st": ["01".repeat(10), "02".repeat(10)]}}));
    assert_eq!(r["outcome"], "retired", "{r}");
    let x87 = &r["x87"];
    assert_eq!((&x87["fsw"], &x87["ftw"], &x87["fcw"]), (&json!("0x3800"), &json!("0x80"), &json!("0x37f")));
    // 1.0 is sign 0, exponent 0x3fff, significand with only its top bit; the others are one further down.
    let st = x87["st"].as_array().unwrap();
    assert_eq!(st[0], "0000000000000080ff3f");
    assert_eq!((&st[1], &st[2]), (&json!("01".repeat(10)), &json!("02".repeat(10))));
}

#[test]
fn memory_is_by_the_byte_and_regions_may_touch() {
    let load = |at: &str, regions: Value| {
        let mut case = json!({"code": "8b07", "regs": {"rdi": at}});
        case.as_object_mut().unwrap().extend(regions.as_object().unwrap().clone());
        case
    };
    let pf =
        |code: u32, cr2: &str| json!({"exception": {"vector": 14, "error_code": code, "cr2": cr2}, "accesses": []});
    let regions = json!({"mem": [{"at": "0x20000", "hex": "0102"}], "mmio": [{"at": "0x20002", "hex": "0304"}]});
    check(&[
        (load("0x20000", regions.clone()), json!({"accesses": [access("read", "0x20000", "01020304")]})),
        (load("0x20001", regions.clone()), pf(0, "0x20004")),
        (load("0x1ffff", regions.clone()), pf(0, "0x1ffff")),
        // Across a page, between device and RAM: one access.
        (
            load(
                "0x20ffd",
                json!({"mmio": [{"at": "0x20ffd", "hex": "010203"}], "mem": [{"at": "0x21000", "zero": 1}]}),
            ),
            json!({"accesses": [access("read", "0x20ffd", "01020300")]}),
        ),
        // Empty regions are none.
        (
            load("0x20000", json!({"mem": [{"at": "0x20000", "hex": ""}, {"at": "0x20000", "zero": 0}]})),
            pf(0, "0x20000"),
        ),
    ]);
}

#[test]
fn page_faults_without_paging() {
    let pf =
        |code: u32, cr2: &str| json!({"exception": {"vector": 14, "error_code": code, "cr2": cr2}, "accesses": []});
    check(&[
        (json!({"code": "8907", "regs": {"rdi": "0x50000"}}), pf(2, "0x50000")),
        (json!({"code": "8b07", "regs": {"rdi": "0x50000"}, "cpl": 3}), pf(4, "0x50000")),
        (json!({"code": "8907", "regs": {"rdi": "0x50000"}, "cpl": 3}), pf(6, "0x50000")),
        // A read-modify-write takes its write fault at once.
        (json!({"code": "0107", "regs": {"rdi": "0x50000"}}), pf(2, "0x50000")),
        // Fetches: with NXE and PAE they are told apart, else they are reads; SMEP tells them apart too.
        (json!({"code": "", "fetches": true}), pf(16, "0x10000")),
        (json!({"code": "", "cpl": 3}), pf(20, "0x10000")),
        (json!({"code": "", "efer": "0x500"}), pf(0, "0x10000")),
        (json!({"code": "", "efer": "0x500", "cr4": "0x100628"}), pf(16, "0x10000")),
        (json!({"code": "", "mode": "real16"}), pf(0, "0x100")),
        (json!({"mode": "real16", "code": "a10200", "seg": {"ds": {"sel": "0x5000"}}}), pf(0, "0x50002")),
        // The instruction goes on where nothing is.
        (json!({"code": "488b", "regs": {"rip": "0x10ffe"}, "fetches": true}), pf(16, "0x11000")),
    ]);
}

#[test]
fn only_the_bytes_of_the_instruction_are_fetched() {
    check(&[
        // The last byte of a page, with nothing behind it, and with a device that would answer later.
        (
            json!({"code": "90", "regs": {"rip": "0x10fff"}, "fetches": true}),
            json!({"outcome": "retired", "accesses": [access("fetch", "0x10fff", "90")]}),
        ),
        (
            json!({"code": "90", "regs": {"rip": "0x10ffe"}, "mmio": [{"at": "0x10fff", "zero": 1, "retry": 9}]}),
            json!({"outcome": "retired"}),
        ),
        // Across the page: one fetch.
        (
            json!({"code": "48ffc0", "regs": {"rip": "0x10ffe"}, "fetches": true}),
            json!({"accesses": [access("fetch", "0x10ffe", "48ffc0")], "length": 3}),
        ),
        // Code over a region.
        (
            json!({"code": "90", "mmio": [{"at": "0x10000", "hex": "f4f4"}], "max_steps": 2}),
            json!({"outcome": "hlt", "steps": 2}),
        ),
    ]);
}

#[test]
fn accesses_are_one_entry_each() {
    let ram = json!([{"at": "0x20000", "hex": "000102030405060708090a0b0c0d0e0f"}]);
    let rmw = |at: &str, old: &str, new: &str| json!({"kind": "rmw", "at": at, "old": old, "new": new});
    let locked =
        |at: &str, old: &str, new: &str| json!({"kind": "rmw", "at": at, "old": old, "new": new, "locked": true});
    let at = |address: &str| json!({"rdi": address, "rsi": "0x20000", "rcx": 2, "rax": "0x11111111"});
    for memory in ["mem", "mmio"] {
        let case = |code: &str, regs: Value| {
            let mut case = json!({"code": code, "regs": regs});
            case[memory] = ram.clone();
            case
        };
        let mut with_mask = case("c4e27d8c0f", at("0x20000"));
        with_mask["zmm"] = json!({"0": "00000080000000800000000000000080"});
        check(&[
            (
                case("f3a4", at("0x20008")),
                json!({"steps": 1, "accesses": [
                access("read", "0x20000", "00"), access("write", "0x20008", "00"),
                access("read", "0x20001", "01"), access("write", "0x20009", "01")]}),
            ),
            (
                case("f3ab", at("0x20008")),
                json!({"accesses": [
                access("write", "0x20008", "11111111"), access("write", "0x2000c", "11111111")]}),
            ),
            // repne scasb for 01: it stops at the match.
            (
                case("f2ae", json!({"rdi": "0x20000", "rcx": 9, "rax": 1})),
                json!({"accesses": [
                access("read", "0x20000", "00"), access("read", "0x20001", "01")]}),
            ),
            (case("0107", at("0x20004")), json!({"accesses": [rmw("0x20004", "04050607", "15161718")]})),
            (case("f00107", at("0x20004")), json!({"accesses": [locked("0x20004", "04050607", "15161718")]})),
            (case("8707", at("0x20004")), json!({"accesses": [locked("0x20004", "04050607", "11111111")]})),
            // lock cmpxchg [rdi], ecx: rax differs, what was there is written again.
            (
                case("f00fb10f", at("0x20004")),
                json!({"accesses": [locked("0x20004", "04050607", "04050607")],
                "mem": null}),
            ),
            // shl dword [rdi], cl with a count of 32, which is 0.
            (
                case("d327", json!({"rdi": "0x20004", "rcx": 32})),
                json!({"accesses": [
                rmw("0x20004", "04050607", "04050607")], "mem": null}),
            ),
            (
                case("660f6f07", at("0x20000")),
                json!({"accesses": [
                access("read", "0x20000", "000102030405060708090a0b0c0d0e0f")]}),
            ),
            // vpmaskmovd ymm1, ymm0, [rdi]: elements 0, 1 and 3.
            (
                with_mask,
                json!({"accesses": [access("read", "0x20000", "00010203"),
                access("read", "0x20004", "04050607"), access("read", "0x2000c", "0c0d0e0f")]}),
            ),
        ]);
    }
}

#[test]
fn split_locks() {
    let case = |choice: &str, memory: &str| {
        let mut case = json!({"code": "f00107", "regs": {"rdi": "0x2003e", "rax": 1}, "split_lock": choice});
        case[memory] = json!([{"at": "0x2003e", "hex": "ffffffff"}]);
        case
    };
    let done = json!({"outcome": "retired", "mem": [{"at": "0x2003e", "hex": "00000000"}],
        "accesses": [{"kind": "rmw", "at": "0x2003e", "old": "ffffffff", "new": "00000000", "locked": true}]});
    let fault = json!({"exception": {"vector": 17, "error_code": 0}, "accesses": [], "mem": null});
    check(&[(case("emulate", "mem"), done.clone()), (case("emulate", "mmio"), done), (case("fault", "mem"), fault)]);
}

#[test]
fn devices_that_answer_later() {
    let case = |n: u32, max: u32| {
        json!({"code": "0107", "regs": {"rdi": "0x20000", "rax": 1}, "max_retries": max, "fetches": true,
            "mmio": [{"at": "0x20000", "hex": "ff000000", "retry": n}]})
    };
    let once = json!([access("fetch", "0x10000", "0107"),
        {"kind": "rmw", "at": "0x20000", "old": "ff000000", "new": "00010000"}]);
    check(&[
        (case(0, 0), json!({"outcome": "retired", "accesses": once})),
        (case(1, 0), json!({"outcome": "retry", "steps": 0, "regs": null, "mem": null})),
        (case(3, 2), json!({"outcome": "retry", "steps": 0, "regs": null, "mem": null})),
        (
            case(3, 3),
            json!({"outcome": "retired", "steps": 1, "accesses": once, "mem": [{"at": "0x20000", "hex": "0001"}]}),
        ),
        // rep movsb from RAM to a device that answers later in the middle.
        (
            json!({"code": "f3a4", "regs": {"rdi": "0x20000", "rsi": "0x10000", "rcx": 2}, "max_retries": 1,
                "mmio": [{"at": "0x20000", "zero": 1}, {"at": "0x20001", "zero": 1, "retry": 1}]}),
            json!({"steps": 1, "accesses": [access("read", "0x10000", "f3"), access("write", "0x20000", "f3"),
                access("read", "0x10001", "a4"), access("write", "0x20001", "a4")]}),
        ),
    ]);
}

#[test]
fn ports() {
    let io = json!({"0x3f8": "0x41", "96": "0xdeadbeef"});
    check(&[
        (
            json!({"code": "ec", "regs": {"rdx": "0x3f8"}, "io": io}),
            json!({"accesses": [access("in", "0x3f8", "41")], "regs": {"rax": "0x41", "rip": "0x10001"}}),
        ),
        (
            json!({"code": "e560", "io": io}),
            json!({"accesses": [access("in", "0x60", "efbeadde")], "regs": {"rax": "0xdeadbeef", "rip": "0x10002"}}),
        ),
        (
            json!({"code": "66e570", "io": io}),
            json!({"accesses": [access("in", "0x70", "ffff")], "regs": {"rax": "0xffff", "rip": "0x10003"}}),
        ),
        (json!({"code": "e680", "regs": {"rax": "0x1209"}}), json!({"accesses": [access("out", "0x80", "09")]})),
        (
            json!({"code": "f36c", "regs": {"rdx": "0x3f8", "rdi": "0x20000", "rcx": 2}, "io": io,
                "mem": [{"at": "0x20000", "zero": 2}]}),
            json!({"accesses": [access("in", "0x3f8", "41"), access("write", "0x20000", "41"),
                access("in", "0x3f8", "41"), access("write", "0x20001", "41")]}),
        ),
    ]);
}

#[test]
fn steps() {
    // inc eax; inc eax; jmp back to the first.
    let code = "ffc0ffc0ebfa";
    check(&[
        (json!({"code": code}), json!({"steps": 1, "regs": {"rax": "0x1", "rip": "0x10002"}})),
        (json!({"code": code, "max_steps": 2}), json!({"steps": 2, "regs": {"rax": "0x2", "rip": "0x10004"}})),
        (
            json!({"code": code, "max_steps": 0}),
            json!({"outcome": "retired", "steps": 0, "regs": null, "length": null}),
        ),
        (json!({"code": code, "until": "0x10004"}), json!({"outcome": "retired", "steps": 2, "length": 2})),
        // It begins there, but stops only after an instruction.
        (json!({"code": code, "until": "0x10000"}), json!({"outcome": "retired", "steps": 3, "form": "jmp Jb"})),
        (json!({"code": code, "until": "0x10004", "max_steps": 1}), json!({"steps": 1})),
        (json!({"code": "ebfe", "until": 0}), json!({"outcome": "retired", "steps": 1_000_000})),
        // A repetition is one step however long it is; then hlt.
        (
            json!({"code": "f3aaf4", "max_steps": 2, "regs": {"rdi": "0x20000", "rcx": 9000},
                "mem": [{"at": "0x20000", "zero": 9000}]}),
            json!({"outcome": "hlt", "steps": 2}),
        ),
        // A fault in the third instruction.
        (
            json!({"code": "ffc0ffc00f0b", "max_steps": 9}),
            json!({"outcome": "exception", "steps": 2, "regs": {"rax": "0x2", "rip": "0x10004"}}),
        ),
    ]);
}

#[test]
fn what_is_in_force_after_the_instruction() {
    let single = json!({"vector": 1, "error_code": null});
    check(&[
        (json!({"code": "fb"}), json!({"retire": ["sti"], "regs": {"rip": "0x10001", "rflags": "0x202"}})),
        (json!({"code": "fb", "regs": {"rflags": "0x202"}}), json!({"retire": null})),
        (json!({"code": "90", "regs": {"rflags": "0x102"}}), json!({"outcome": "retired", "retire": ["singlestep"]})),
        // With more steps to go, the trap comes before the next instruction.
        (
            json!({"code": "9090", "regs": {"rflags": "0x102"}, "max_steps": 2}),
            json!({"outcome": "exception", "exception": single, "steps": 1, "regs": {"rip": "0x10001"}}),
        ),
        (json!({"code": "9090", "max_steps": 2}), json!({"retire": null})),
    ]);
}

#[test]
fn introspection() {
    let case = |code: &str, introspect: Value| {
        json!({"code": code, "regs": {"rdi": "0x20000", "rax": 1}, "introspect": introspect,
            "mem": [{"at": "0x20000", "hex": "10203040"}]})
    };
    let rmw = |old: &str, new: &str| json!([{"kind": "rmw", "at": "0x20000", "old": old, "new": new}]);
    let overlay = json!([{"at": "0x1ffff", "hex": "a0a1a2"}]);
    check(&[
        (
            case("8907", json!({"discard_writes": true})),
            json!({"outcome": "retired", "accesses": [access("write", "0x20000", "01000000")], "mem": null}),
        ),
        (case("0107", json!({"discard_writes": true})), json!({"accesses": rmw("10203040", "11203040"), "mem": null})),
        (
            case("f00107", json!({"discard_writes": true})),
            json!({"mem": null, "accesses": [{"kind": "rmw", "at": "0x20000", "old": "10203040", "new": "11203040",
                "locked": true}]}),
        ),
        // A write that would fault does.
        (
            json!({"code": "8907", "regs": {"rdi": "0x50000"}, "introspect": {"discard_writes": true}}),
            json!({"exception": {"vector": 14, "error_code": 2, "cr2": "0x50000"}}),
        ),
        (
            case("8b07", json!({"overlay": overlay})),
            json!({"accesses": [access("read", "0x20000", "a1a23040")], "regs": {"rax": "0x4030a2a1", "rip": "0x10002"}}),
        ),
        (
            case("0107", json!({"overlay": overlay})),
            json!({"accesses": rmw("a1a23040", "a2a23040"), "mem": [{"at": "0x20000", "hex": "a2a2"}]}),
        ),
        (
            case("0107", json!({"overlay": overlay, "discard_writes": true})),
            json!({"accesses": rmw("a1a23040", "a2a23040"), "mem": null}),
        ),
        // Fetches do not see the overlay.
        (case("ffc0", json!({"overlay": [{"at": "0x10000", "hex": "0f0b"}]})), json!({"outcome": "retired"})),
        // Other bytes than memory's, in each step; they need no memory.
        (
            json!({"code": "0f0b", "introspect": {"insn": "48ffc0"}, "max_steps": 2, "fetches": true}),
            json!({"steps": 2, "accesses": [], "regs": {"rax": "0x2", "rip": "0x10006"}, "length": 3}),
        ),
        (json!({"code": "", "introspect": {"insn": "90"}}), json!({"outcome": "retired"})),
    ]);
}

#[test]
fn profiles() {
    // vaddps ymm0, ymm0, ymm0; bsf eax, eax with F3, which is tzcnt where there is BMI1.
    let ud = json!({"outcome": "exception", "exception": {"vector": 6, "error_code": null}});
    check(&[
        (json!({"code": "c5fc58c0", "profile": {"base": "all", "remove": ["avx"]}}), ud.clone()),
        (json!({"code": "0fa2", "profile": {"vendor": "amd", "base": "all"}}), json!({"outcome": "retired"})),
        (json!({"code": "62f17c4858c0", "profile": {"base": "host", "remove": ["avx512f", "avx10"]}}), ud),
    ]);
    let vendor = |name: &str| {
        let r = run(&json!({"code": "0fa2", "profile": {"base": "all", "vendor": name}}));
        r["regs"]["rbx"].clone()
    };
    // The first four letters of GenuineIntel and AuthenticAMD, as CPUID leaf 0 has them in EBX.
    assert_eq!((vendor("intel"), vendor("amd")), (json!("0x756e6547"), json!("0x68747541")));
    let xcr0 = |profile: Value| run(&json!({"code": "90", "full": true, "profile": profile}))["xcr0"].clone();
    // x87, SSE, AVX, opmask, both halves of ZMM, PKRU, the two of AMX, APX.
    assert_eq!(xcr0(json!("all")), "0xe02e7");
    assert_eq!(xcr0(json!({"base": "all", "remove": ["avx512f", "avx10", "amx_tile", "apx_f", "pku"]})), "0x7");
}

#[test]
fn time_repeats_with_the_seed() {
    let tsc = |seed: u64| run(&json!({"code": "0f310f31", "max_steps": 2, "seed": seed, "full": true}))["regs"].clone();
    assert_eq!(tsc(1), tsc(1));
    assert_ne!(tsc(1)["rax"], tsc(2)["rax"]);
    assert_eq!(tsc(0), run(&json!({"code": "0f310f31", "max_steps": 2, "full": true}))["regs"]);
}

#[test]
fn a_case_leaves_nothing_to_the_next() {
    check(&[
        (
            json!({"code": "8b07", "regs": {"rdi": "0x20000"}, "mmio": [{"at": "0x20000", "zero": 4, "retry": 1}]}),
            json!({"outcome": "retry"}),
        ),
        (json!({"code": "8b07", "regs": {"rdi": "0x10000"}}), json!({"outcome": "retired", "mem": null})),
        (json!({"code": ""}), json!({"outcome": "exception", "length": null, "form": null})),
    ]);
}
