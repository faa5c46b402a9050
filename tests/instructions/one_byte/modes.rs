//! What a mode makes of an address, of the instruction pointer and of the stack: segments, wraps, canonical form, masking,
//! alignment (SDM volume 1, 3.3 and 3.7; volume 3, chapters 5 and 21; APM volume 2, 5.10).

#[test]
fn table() {
    crate::table::run(
        "
        // Branches of 16 bits wrap. What runs on from instruction to instruction does not, in 16-bit code either.
        real | 90 | rip=ffff | rip=10000 | the end of a segment is for the next fetch to see (so does a Zen 4 in a 16-bit segment)
        real | b8 34 12 | rip=fffd rax=0 | rax=1234 rip=10000
        real | 66 eb 00 | cs.limit=ffff rip=fffd | #GP(0) | a target of 32 bits does not wrap at 16
        real | 66 e9 00 00 01 00 | cs.limit=ffff | #GP(0) | a 32-bit target beyond the limit
        p16 | 90 | rip=ffff | rip=10000
        p32 | 90 | rip=ffff | rip=10000
        p32 | 66 eb 00 | rip=ffe | rip=1001 | 66: the target has 16 bits
        p32 | 66 eb 7f | rip=fff0 | rip=72 | and wraps there
        c32 | eb fe | | rip=100
        64 | 90 | rip=ffffffff | rip=100000000
        64 | eb 00 | rip=7ffffffffffd | rip=7fffffffffff
        64 | eb 10 | rip=7ffffffffff0 | #GP(0) | to the first address that is not canonical
        64 | 66 eb 00 | rip=10100 | rip=103 | AMD: 66 cuts the target to 16 bits
        // Real mode checks limits and nothing else.
        real | 2e 89 0f | cs.attr=9b rcx=1234 @11000=0000 | @11000=3412 | CS is written through
        real | 8b 0f | ds.limit=ffffffff rbx=1000 @21000=3412 | rcx=1234
        real | 67 8b 0b | ds.limit=ffffffff rbx=12345 @32345=3412 | rcx=1234 | unreal mode: a limit that protected mode left
        real | 8b 0f | rbx=fffe @2fffe=3412 | rcx=1234
        real | 66 8b 0f | rbx=fffd | #GP(0)
        real | 36 8b 0f | rbx=ffff | #SS(0)
        v86 | 2e 89 0f | rcx=1234 | @11000=3412
        v86 | 36 8b 0f | rbx=ffff | #SS(0)
        v86 | 8b 0f | ds.base=ffff0 rbx=10 @100000=3412 | rcx=1234 | no wrap at 1 MiB: A20 is the monitor's
        // Expand-down: what lies above the limit, up to 64 KiB or 4 GiB by B.
        p32 | 89 0b | ds.attr=4097 ds.limit=fff rcx=1 rbx=1000 | @21000=01000000
        p32 | 89 0b | ds.attr=4097 ds.limit=fff rbx=fff | #GP(0)
        p32 | 89 0b | ds.attr=4097 ds.limit=fff rbx=ffffffff | #GP(0) | across the end
        p32 | 51 | ss.attr=4097 ss.limit=7ffb rcx=1 | rsp=7ffc @47ffc=01000000
        p32 | 51 | ss.attr=4097 ss.limit=7ffc | #SS(0)
        p32 | 51 | ss.attr=0097 ss.limit=fff rsp=12341234 rcx=1 | rsp=12341230 @41230=01000000
        p32 | 51 | ss.attr=0097 ss.limit=fff rsp=1002 | #SS(0)
        p16 | 89 0f | ds.attr=0097 ds.limit=fff rcx=1 rbx=fffe | @2fffe=0100
        p16 | 89 0f | ds.attr=0097 ds.limit=fff rbx=ffff | #GP(0)
        // Types.
        p32 | 2e 8b 0b | cs.attr=4099 | #GP(0) | CS that is executed only
        p32 | 36 8b 0b | ss.null | #SS(0)
        p32 | 64 8b 0b | fs.null | #GP(0)
        p32 | 64 89 0b | fs.attr=4091 | #GP(0)
        p32 | 8b 0b | ds.attr=4013 | #GP(0) | a segment that is not present
        c32 | 65 8b 0b | gs.null | #GP(0)
        p32 | 8d 0b | ds.null | rcx=1000 | LEA does not look
        p32 | 0f 18 0b | ds.null | | nor does a prefetch
        // Bytes at the edge of 4 GiB.
        p32 | 8b 0b | ds.base=fffffffe ds.limit=ffffffff rbx=0 @0=0304 @fffffffe=0102 | rcx=4030201 | the linear address wraps
        p32 | 8a 0b | ds.limit=ffffffff rbx=ffffffff ds.base=2 @1=5a | rcx=5a
        p32 | 67 8b 0f | rbx=fffe ds.limit=fffff @2fffe=01020304 | rcx=4030201 | the offset is cut, its bytes go on
        // 64-bit mode: 48 bits, or 57 with CR4.LA57; SS and rSP say #SS.
        64 | 8b 0b | rbx=ffff800000000000 @ffff800000000000=01000000 | rcx=1
        64 | 8b 0b | rbx=ffff7fffffffffff | #GP(0)
        64 | 36 8b 0b | rbx=800000000000 | #GP(0) | SS as an override means nothing
        64 | 8b 0c 24 | rsp=800000000000 | #SS(0)
        64 | 8b 4d 00 | rbp=800000000000 | #SS(0)
        64 | 8b 4b 04 | rbx=7ffffffffffc | #GP(0)
        64 | 64 8b 0b | fs.base=7fffffffffff rbx=1 | #GP(0) | the sum is not canonical
        64 | 64 8b 0b | fs.base=ffffffffffffffff rbx=21001 @21000=01000000 | rcx=1
        64 | 64 8b 0b | fs.base=ffff800000000000 rbx=800000000000 | #GP(0) | the offset is looked at too
        64 | 8b 0b | +la57 rbx=80000000000000 @80000000000000=01000000 | rcx=1
        64 | 8b 0b | +la57 rbx=100000000000000 | #GP(0)
        64 | ff e3 | +la57 rbx=80000000000000 | rip=80000000000000
        64 | ff e3 | rbx=80000000000000 | #GP(0)
        // LAM: metadata in bits 62:48 or 62:57 of addresses of data; never of code.
        64 | 8b 0b | +lam_u57 rbx=7e00000000021000 @21000=01000000 | rcx=1
        64 | 8b 0b | +lam_u57 rbx=fe00000000021000 | #GP(0) | bit 63 is no metadata
        64 | 8b 0b | +lam_u57 rbx=7f00000000021000 | #GP(0) | nor is bit 56
        64 | 8b 0b | +lam_u48 rbx=7fff000000021000 @21000=01000000 | rcx=1
        64 | 8b 0b | rbx=7e00000000021000 | #GP(0)
        64 | 8b 0b | +lam_sup rbx=80ff800000000000 @ffff800000000000=01000000 | rcx=1 | supervisor addresses by CR4.LAM_SUP
        64 | 8b 0b | +lam_sup rbx=7e00000000021000 | #GP(0)
        64 | 51 | +lam_u57 rsp=7e00000000048000 rcx=5 | rsp=7e00000000047ff8 @47ff8=0500000000000000 | the stack too
        64 | ff e3 | +lam_u57 rbx=7e00000000021000 | #GP(0) | no branch
        64 | 8b 0b | +uaie rbx=fe00000000021000 @21000=01000000 | rcx=1 | AMD's upper address ignore: bits 63:57
        64 | 8b 0b | +uaie rbx=100000000021000 | #GP(0)
        // #AC: CPL 3, CR0.AM, RFLAGS.AC.
        64 | 8a 0b | rbx=21001 +am +ac cpl=3 @21001=5a | rcx=5a | a byte is always aligned
        64 | 66 89 0b | rbx=21001 +am +ac cpl=3 | #AC(0)
        64 | 48 8b 0b | rbx=21004 +am +ac cpl=3 | #AC(0)
        64 | 48 8b 0b | rbx=21004 +am cpl=3 @21004=0100000000000000 | rcx=1
        64 | 8b 0b | rbx=800000000001 +am +ac cpl=3 | #GP(0) | what is wrong with the address comes first
        64 | 8b 0b | rbx=20fff +am +ac cpl=3 absent=21 | #AC(0) | before the page
        64 | c3 | rsp=47ffc +am +ac cpl=3 | #AC(0)
        p32 | c9 | rbp=4002 +am +ac cpl=3 | #AC(0)
        v86 | 8b 0f | rbx=1001 +am +ac | #AC(0) | virtual-8086 mode is CPL 3
        p32 | 8b 0b | rbx=1001 +am +ac cpl=2 @21001=01000000 | rcx=1
        // Operand and stack size.
        p16 | 66 51 | rcx=11223344 | rsp=7ffc @47ffc=44332211
        p32 | 66 51 | rcx=11223344 | rsp=7ffe @47ffe=4433
        c16 | 51 | rcx=1234 | rsp=7ffe @47ffe=3412
        64 | 66 51 | rcx=1234 | rsp=47ffe @47ffe=3412
        real | 58 | rsp=ffff @4ffff=34 | #SS(0) | the word at FFFFh leaves the segment
        real | 58 | rsp=fffe rax=0 @4fffe=3412 | rax=1234 rsp=0 | SP wraps
        real | 67 e2 fd | rcx=10000 | rcx=ffff rip=100 | ECX counts under 67
        p32 | 67 e2 fd | rcx=20001 | rcx=20000 | CX, and the rest stays
        ",
    );
}
