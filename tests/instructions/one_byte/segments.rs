//! Limits, types and null selectors of data segments.

#[test]
fn table() {
    crate::table::run(
        "
        p32 | 8b 0b | ds.limit=1003 @21000=01000000 | rcx=1
        p32 | 8b 0b | ds.limit=1002 | #GP(0)
        p32 | 8b 4d 00 | ss.limit=4002 | #SS(0)
        p32 | 8b 0b | ds.null | #GP(0)
        p32 | 89 0b | ds.null | #GP(0)
        c32 | 8b 0b | es.null ds.null | #GP(0)
        p32 | 89 0b | ds.attr=4091 | #GP(0) | read-only data
        p32 | 8b 0b | ds.attr=4091 @21000=01000000 | rcx=1
        p32 | 8b 0b | ds.attr=409b @21000=01000000 | rcx=1 | readable code
        p32 | 8b 0b | ds.attr=4099 | #GP(0) | execute-only code
        p32 | 89 0b | ds.attr=409b | #GP(0)
        p32 | 2e 89 0b | | #GP(0) | no writing through CS
        p32 | 2e 8b 0b | @11000=01000000 | rcx=1
        p32 | 8b 0b | ds.attr=4097 ds.limit=fff @21000=01000000 | rcx=1 | expand-down: above the limit
        p32 | 8b 0b | ds.attr=4097 ds.limit=1000 | #GP(0) | expand-down: the limit itself lies outside
        p32 | 8b 0b | ds.attr=0097 ds.limit=fff rbx=fffd | #GP(0) | expand-down with B clear ends at 0xffff
        p32 | 8b 0b | ds.attr=4097 ds.limit=fff rbx=fffd @2fffd=01000000 | rcx=1
        p32 | 8b 0b | rbx=ffffffff ds.limit=ffffffff | #GP(0) | a wrap at 4 GiB
        p32 | 8b 0b | rbx=fffffffc ds.base=8 ds.limit=ffffffff @4=01000000 | rcx=1 | linear addresses wrap at 4 GiB
        64 | 8b 0b | ds.null @21000=01000000 | rcx=1 | no DS checks in 64-bit mode
        64 | 8b 0b | ds.limit=0 @21000=01000000 | rcx=1
        64 | 64 8b 0b | fs.null fs.base=0 @21000=01000000 | rcx=1
        p32 | eb 10 | cs.limit=111 | #GP(0)
        p32 | eb 10 | cs.limit=112 | rip=112
        ",
    );
}
