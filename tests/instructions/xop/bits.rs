//! TBM (APM volume 3). LWP is #UD, because XCR0 cannot enable it.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 8f e9 70 01 cb | rbx=17 | rcx=10 f= u=PA | blcfill ecx, ebx: 10111b, from the lowest clear bit down
        64 | 8f e9 70 01 cb | rbx=ffffffff | rcx=0 f=CZ u=PA | no bit is clear
        64 | 8f e9 70 01 d3 | rbx=18 | rcx=1f f= u=PA | blsfill
        64 | 8f e9 70 01 d3 | rbx=0 | rcx=ffffffff f=CS u=PA
        64 | 8f e9 70 01 db | rbx=17 | rcx=1f f= u=PA | blcs: the lowest clear bit is set
        64 | 8f e9 f0 01 db | rbx=ffffffffffffffff | rcx=ffffffffffffffff f=CS u=PA
        64 | 8f e9 70 01 e3 | rbx=18 | rcx=7 f= u=PA | tzmsk
        64 | 8f e9 70 01 e3 | rbx=0 | rcx=ffffffff f=CS u=PA
        64 | 8f e9 70 01 eb | rbx=17 | rcx=8 f= u=PA | blcic
        64 | 8f e9 70 01 f3 | rbx=18 | rcx=fffffff7 f=S u=PA | blsic
        64 | 8f e9 70 01 fb | rbx=17 | rcx=fffffff8 f=S u=PA | t1mskc
        64 | 8f e9 70 02 cb | rbx=17 | rcx=f f= u=PA | blcmsk
        64 | 8f e9 70 02 f3 | rbx=17 | rcx=fffffff7 f=S u=PA | blci
        64 | 8f e9 70 01 0b | @21000=17000000 | rcx=10 f= u=PA R4@21000 | blcfill ecx, [rbx]
        64 | 8f ea 78 10 cb 04 08 00 00 | rbx=12345678 | rcx=67 f= u=PAS | bextr ecx, ebx, 804h
        p32 | 8f e9 70 01 cb | rbx=17 | rcx=10 f= u=PA
        real | 8f e9 70 01 cb | | #UD
        64 | 8f e9 78 12 c3 | | #UD | llwpcb
        64 | 8f e9 78 12 cb | | #UD | slwpcb
        64 | 8f ea 70 12 c3 05 00 00 00 | | #UD | lwpins
        ",
    );
}
