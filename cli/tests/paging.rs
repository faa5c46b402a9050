//! `encore86 exec` with CR0.PG given: the page tables of the case are walked.

mod common;

use common::{difference, encore86};
use serde_json::{Value, json};

fn run(case: &Value) -> Value {
    encore86(&["exec"], case.to_string().as_bytes()).0.remove(0)
}

fn check(case: &Value, expected: &Value) {
    let result = run(case);
    if let Some(wrong) = difference(&result, expected) {
        panic!("{wrong}\ncase   {case}\nresult {result}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A page table in RAM: index and value of its entries, which are not present elsewhere.
fn table(at: u64, entries: &[(usize, u64)]) -> Value {
    let mut bytes = vec![0; 4096];
    for (i, value) in entries {
        bytes[i * 8..i * 8 + 8].copy_from_slice(&value.to_le_bytes());
    }
    json!({"at": format!("{at:#x}"), "hex": hex(&bytes)})
}

const CODE: u64 = 0x10000;
const DATA: u64 = 0x11000;
const CODE_FRAME: u64 = 0x20000;
const DATA_FRAME: u64 = 0x30000;

/// Linear [`CODE`] and [`DATA`] in 4-level paging. All A bits are set, D is not; `pte` adds to the data's entry.
fn long(pte: u64) -> Vec<Value> {
    vec![
        table(0x1000, &[(0, 0x2027)]),
        table(0x2000, &[(0, 0x3027)]),
        table(0x3000, &[(0, 0x4027)]),
        table(0x4000, &[(16, CODE_FRAME | 0x25), (17, DATA_FRAME | 0x25 | pte)]),
    ]
}

fn case(code: &str, mem: Vec<Value>) -> Value {
    json!({"code": code, "cr0": "0x80010033", "cr3": "0x1000", "mem": mem, "regs": {"rbx": DATA, "rax": "0x11223344"}})
}

fn with(mut case: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        case[name] = value.clone();
    }
    case
}

fn walk(at: u64, value: u64) -> Value {
    json!({"kind": "read", "at": format!("{at:#x}"), "hex": hex(&value.to_le_bytes()), "implicit": true})
}

/// The reads that find the page behind entry `i` of the last table.
fn walks(i: u64, last: u64) -> Vec<Value> {
    vec![walk(0x1000, 0x2027), walk(0x2000, 0x3027), walk(0x3000, 0x4027), walk(0x4000 + 8 * i, last)]
}

#[test]
fn accesses_are_linear_and_walks_are_physical() {
    let mut mem = long(2);
    mem.push(json!({"at": DATA_FRAME + 8, "hex": "aabbccdd"}));
    let mut accesses = walks(16, CODE_FRAME | 0x25);
    accesses.extend(walks(17, DATA_FRAME | 0x27));
    let (old, new) = (DATA_FRAME | 0x27, DATA_FRAME | 0x67);
    accesses.push(json!({
        "kind": "rmw", "at": "0x4088", "old": hex(&old.to_le_bytes()), "new": hex(&new.to_le_bytes()),
        "locked": true, "implicit": true
    }));
    accesses.push(json!({"kind": "write", "at": "0x11008", "hex": "44332211"}));
    // MOV [RBX+8], EAX
    check(
        &case("894308", mem),
        &json!({
            "outcome": "retired", "accesses": accesses, "regs": {"rip": "0x10003"},
            "mem": [{"at": "0x4088", "hex": "67"}, {"at": "0x30008", "hex": "44332211"}]
        }),
    );
}

#[test]
fn the_code_lies_where_its_address_leads() {
    let result = run(&with(case("90", long(0)), json!({"full": true, "fetches": true})));
    assert_eq!(result["outcome"], "retired", "{result}");
    let mem = result["mem"].as_array().unwrap();
    let page = mem.iter().find(|run| run["at"] == "0x20000").expect("a page of zeroed RAM around the code");
    assert_eq!(page["hex"].as_str().unwrap(), format!("90{}", "00".repeat(4095)));
    let fetch = json!({"kind": "fetch", "at": "0x10000", "hex": "90"});
    assert_eq!(result["accesses"].as_array().unwrap().last(), Some(&fetch));

    // Over a page's end, into a frame elsewhere.
    let mut mem = long(0);
    mem.push(json!({"at": DATA_FRAME, "hex": "0000000000"}));
    let crossing = with(case("b878563412", mem), json!({"regs": {"rip": "0x10ffe"}}));
    check(&crossing, &json!({"outcome": "retired", "regs": {"rax": "0x12345678", "rip": "0x11003"}}));
}

#[test]
fn faults_have_their_codes() {
    let load = "8b03"; // MOV EAX, [RBX]
    let store = "8903";
    let fault = |code: u64, cr2: u64| {
        json!({
            "outcome": "exception", "steps": 0, "regs": null, "mem": null, "cr2": format!("{cr2:#x}"),
            "exception": {"vector": 14, "error_code": code, "cr2": format!("{cr2:#x}")}
        })
    };
    check(&case(store, long(0)), &fault(3, DATA));
    check(&with(case(load, long(0)), json!({"cpl": 3, "regs": {"rbx": "0x12ffe"}})), &fault(4, 0x12ffe));
    let supervisor = |code| {
        let mut mem = long(0);
        mem[3] = table(0x4000, &[(16, CODE_FRAME | 0x25), (17, DATA_FRAME | 0x21)]);
        with(case(code, mem), json!({"cpl": 3}))
    };
    check(&supervisor(load), &fault(5, DATA));
    check(&supervisor(store), &fault(7, DATA));
    check(&case(load, long(1 << 51)), &json!({"exception": {"vector": 14, "error_code": 9, "cr2": "0x11000"}}));
    // SMAP, and RFLAGS.AC; CPL 0 cannot run its own code from a user page under SMEP.
    let smap = json!({"cr4": "0x240628"});
    check(&with(case(load, long(0)), smap.clone()), &fault(1, DATA));
    let ac = json!({"regs": {"rbx": DATA, "rflags": "0x40002"}});
    check(&with(with(case(load, long(0)), smap), ac), &json!({"outcome": "retired"}));
    check(&with(case(load, long(0)), json!({"cr4": "0x140628"})), &fault(0x11, CODE));
    // Protection keys: PKRU for this user page, IA32_PKRS not.
    let key =
        with(case(load, long(1 << 59)), json!({"cr4": "0x1440628", "pkru": "0x4", "msr": {"0x6e1": "0xffffffff"}}));
    check(&key, &fault(0x21, DATA));
    // No page for the code: it lies nowhere, and is not fetched.
    check(&with(case("90", long(0)), json!({"regs": {"rip": "0x40000000"}})), &fault(0x10, 0x4000_0000));
    // The second page of a store: nothing of the first is written, and CR2 is the first failing byte.
    check(&with(case(store, long(2)), json!({"regs": {"rbx": "0x11ffe"}})), &fault(2, 0x12000));
}

#[test]
fn memory_that_is_not_there_reads_all_ones_and_drops_writes() {
    check(&case("8b03", long(0)), &json!({"outcome": "retired", "regs": {"rax": "0xffffffff", "rip": "0x10002"}}));
    let result = run(&case("8903", long(0x42)));
    assert_eq!((&result["outcome"], &result["mem"]), (&json!("retired"), &Value::Null), "{result}");
    // Byte by byte: two are there.
    let mut mem = long(0);
    mem.push(json!({"at": DATA_FRAME + 1, "hex": "1122"}));
    check(&case("8b03", mem), &json!({"regs": {"rax": "0xff2211ff", "rip": "0x10002"}}));
    let mut mem = long(0x42);
    mem.push(json!({"at": DATA_FRAME + 1, "hex": "1122"}));
    check(&case("8903", mem), &json!({"mem": [{"at": "0x30001", "hex": "33"}]}));
    // So do page tables: an entry of all ones has reserved bits set.
    check(
        &with(case("90", vec![]), json!({"cr3": "0x5000"})),
        &json!({"exception": {"vector": 14, "error_code": 0x19, "cr2": "0x10000"}}),
    );
}

#[test]
fn all_paging_modes_are_walked() {
    // 32-bit paging with a page of 4 MiB.
    let mem = vec![table(0x1000, &[(0, 0x0040_0087)]), json!({"at": 0x41_1000, "zero": 16})];
    let case32 = json!({
        "mode": "prot32", "code": "8903", "cr0": "0x80000033", "cr3": "0x1000", "cr4": "0x10", "mem": mem,
        "regs": {"rbx": DATA, "rax": 1}
    });
    check(&case32, &json!({"mem": [{"at": "0x1000", "hex": "e7"}, {"at": "0x411000", "hex": "01"}]}));
    let result = run(&case32);
    assert_eq!(result["accesses"][0], json!({"kind": "read", "at": "0x1000", "hex": "87004000", "implicit": true}));

    // PAE paging: the PDPTEs have been read with CR3, so a walk has two levels.
    let pae = |pdpte: u64| {
        let mem = vec![
            json!({"at": 0x1000, "hex": hex(&pdpte.to_le_bytes())}),
            table(0x2000, &[(0, 0x40_00e7)]),
            json!({"at": 0x41_1000, "zero": 16}),
        ];
        with(case32.clone(), json!({"cr4": "0x20", "mem": mem}))
    };
    let walk = json!({"kind": "read", "at": "0x2000", "hex": "e700400000000000", "implicit": true});
    let write = json!({"kind": "write", "at": "0x11000", "hex": "01000000"});
    // The data's page lies beside the code's within the large one, and is another page of the TLB.
    check(&pae(0x2001), &json!({"accesses": [walk, walk, write], "mem": [{"at": "0x411000", "hex": "01"}]}));
    check(&pae(0x2003), &json!({"outcome": "bad_case"}));
    // PDPTEs that the case leaves out are not present.
    let far = with(pae(0x2001), json!({"regs": {"rbx": 0x4000_0000}}));
    check(&far, &json!({"exception": {"vector": 14, "error_code": 2, "cr2": "0x40000000"}}));

    // 5-level paging.
    let mut mem = long(0);
    mem.push(table(0x5000, &[(0, 0x1027)]));
    check(&with(case("8b03", mem), json!({"cr3": "0x5000", "cr4": "0x41628"})), &json!({"outcome": "retired"}));

    // Compatibility mode, and virtual-8086 mode, over the tables that are theirs.
    check(&with(case("8b03", long(0)), json!({"mode": "compat32"})), &json!({"outcome": "retired"}));
    let v86 = json!({"mode": "v86", "cpl": 3, "regs": {"rip": 0}, "seg": {"cs": {"sel": "0x1000"}}, "code": "90"});
    check(&with(case32, v86), &json!({"outcome": "retired", "regs": {"rip": "0x1"}}));
}

#[test]
fn adaptors_stand_at_linear_addresses() {
    let mut mem = long(0x42);
    mem.push(json!({"at": DATA_FRAME, "hex": "00000000"}));
    // ADD [RBX], EAX, with other bytes to be seen, and a store that goes nowhere: not even D is set.
    let mut clean = long(2);
    clean.push(json!({"at": DATA_FRAME, "hex": "00000000"}));
    let overlay = json!({"introspect": {"overlay": [{"at": DATA, "hex": "01000000"}]}});
    check(&with(case("0103", mem), overlay), &json!({"mem": [{"at": "0x30000", "hex": "45332211"}]}));
    let discard = json!({"introspect": {"discard_writes": true}});
    check(&with(case("0103", clean), discard), &json!({"outcome": "retired", "mem": null}));
}

#[test]
fn devices_behind_page_tables_answer_later() {
    let device = json!({"mmio": [{"at": DATA_FRAME, "zero": 16, "retry": 2}]});
    let waits = with(case("8903", long(0x42)), device);
    check(&waits, &json!({"outcome": "retry", "steps": 0}));
    let result = run(&with(waits, json!({"max_retries": 2})));
    assert_eq!(result["outcome"], "retired", "{result}");
    let writes = result["accesses"].as_array().unwrap().iter().filter(|a| a["kind"] == "write").count();
    assert_eq!(writes, 1, "{result}");
    // Tables in device memory.
    let mut mem = long(0);
    mem.remove(0);
    let table = json!({"mmio": [{"at": "0x1000", "hex": hex(&0x2027u64.to_le_bytes()), "retry": 1}], "max_retries": 1});
    check(&with(case("90", mem), table), &json!({"outcome": "retired"}));
}

#[test]
fn locked_operations_run_on_translated_memory() {
    let mut mem = long(2);
    mem.push(json!({"at": DATA_FRAME, "hex": "0100000000000000"}));
    // LOCK ADD [RBX], EAX
    let result = run(&case("f00103", mem.clone()));
    let user = run(&with(case("f00103", mem), json!({"cpl": 3, "cr4": "0x240628"})));
    assert_eq!(user["accesses"], result["accesses"], "by the user, in a page that SMAP keeps from the supervisor");
    let rmw = json!({"kind": "rmw", "at": "0x11000", "old": "01000000", "new": "45332211", "locked": true});
    assert_eq!(result["accesses"].as_array().unwrap().last(), Some(&rmw), "{result}");
    assert_eq!(result["mem"], json!([{"at": "0x4088", "hex": "67"}, {"at": "0x30000", "hex": "45332211"}]));
}

#[test]
fn registers_that_contradict_paging_are_refused() {
    let table = [
        (json!({"mode": "real16", "code": "90", "cr0": "0x80000010"}), "PE"),
        (json!({"code": "90", "cr0": "0x80000033", "cr4": "0x600"}), "PAE"),
        (json!({"code": "90", "mode": "prot32", "cr0": "0x80000033", "efer": "0x100"}), "LME"),
    ];
    for (case, word) in table {
        let result = run(&case);
        assert_eq!(result["outcome"], "bad_case", "{result}");
        assert!(result["reason"].as_str().unwrap().contains(word), "{result}");
    }
}
