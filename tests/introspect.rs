//! The example `introspect`: two virtual processors of one KVM guest, a protected page, and no store that gets by unseen.

#[path = "../examples/introspect.rs"]
mod example;

use encore86_oracle::Skips;
use example::{DISCARDED, HAMMERED, PAGE, Seen, run};

#[test]
fn every_store_is_seen_and_the_page_stays_shut_for_the_other_processor() {
    const TIMES: u64 = 300;
    let ([writer, hammer], memory) = match run(TIMES) {
        Ok(done) => done,
        Err(why) if kvm_ioctls::Kvm::new().and_then(|kvm| kvm.create_vm()).is_err() => {
            return Skips::new("introspect").skip("two virtual processors", &why.to_string(), 1);
        }
        Err(why) => panic!("{why}"),
    };

    // What the first made, store by store, is what was seen.
    let store = |at: u64, bytes: &[u8], discarded, text: &str| {
        let text = text.to_owned();
        Seen { at: PAGE + at, bytes: bytes.to_vec(), discarded, text }
    };
    let counter = u64::from_le_bytes([0x11; 8]);
    // XADD gives RAX the old value, so that the next one adds that.
    let (mut sum, mut addend) = (counter, 1u64);
    let mut expected = Vec::new();
    for i in 0..TIMES {
        (sum, addend) = (sum.wrapping_add(addend), sum);
        expected.push(store(0, &(TIMES - i).to_le_bytes(), false, "mov qword ptr [rbx], rdx"));
        expected.push(store(0x10, &[0; 16], false, "movups xmmword ptr [rbx+0x10], xmm0"));
        expected.push(store(0x20, &sum.to_le_bytes(), false, "lock xadd qword ptr [rbx+0x20], rax"));
        expected.push(store(0x7fe, &[0xff; 4], true, "mov dword ptr [rbx+0x7fe], 0xffffffff"));
        expected.push(store(0x900, &[1], true, "mov byte ptr [rbx+0x900], 0x1"));
    }
    assert_eq!(writer.made, 5 * TIMES);
    assert_eq!(writer.seen.len(), expected.len());
    let wrong = writer.seen.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(wrong.map(|i| (i, &writer.seen[i], &expected[i])), None);

    // As many of the second's were seen as it made, each with its number, and it made many meanwhile.
    assert!(hammer.made > 20, "the second processor hardly ran: {}", hammer.made);
    assert_eq!(hammer.seen.len() as u64, hammer.made);
    for (i, seen) in hammer.seen.iter().enumerate() {
        let number = (i as u64).to_le_bytes();
        assert_eq!(*seen, store(HAMMERED - PAGE, &number, true, "mov qword ptr [rbx+0xf00], r8"));
    }

    // Memory has what was let through and nothing of what was discarded, so that no store got by.
    assert_eq!(memory.load(PAGE), 1u64.to_le_bytes());
    assert_eq!(memory.load(PAGE + 0x10), [0; 16]);
    assert_eq!(memory.load(PAGE + 0x20), sum.to_le_bytes());
    assert_eq!(memory.load(PAGE + 0x28), [0x11; 0x800 - 0x28]);
    assert_eq!(memory.load(*DISCARDED.start()), [0x11; 0x800]);

    // And the guest's mapping of the page still says "read-only".
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    let line = maps.lines().find(|line| line.starts_with(&format!("{:x}-", memory.protected())));
    assert!(line.is_some_and(|line| line.contains(" r--s ")), "{line:?}");
    println!("{} stores of the first processor seen, {} of the second", writer.seen.len(), hammer.seen.len());
}
