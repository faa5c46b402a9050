//! PUSHF, POPF, CLI and STI under IOPL, CR4.VME and CR4.PVI (SDM volume 2; volume 3, 21.3 and 21.4).

#[test]
fn table() {
    crate::table::run(
        "
        v86 | 9c | +vme +if | rsp=7ffe @47ffe=0230 W2@47ffe | IF is VIF's image, IOPL 3
        v86 | 9c | +vme +vif | rsp=7ffe @47ffe=0232
        v86 | 66 9c | +vme +vif | #GP(0) | not as a doubleword
        v86 | 9d | +vme @48000=0202 | rsp=8002 rflags=a0002 | IF goes to VIF
        v86 | 9d | +vme +vif @48000=0200 | rsp=8002 rflags=20002
        v86 | 9d | +vme +vip @48000=0202 | #GP(0) | an interrupt is pending
        v86 | 9d | +vme +vip @48000=0200 | rsp=8002 rflags=120002
        v86 | 9d | +vme @48000=0201 | #GP(0) | TF
        v86 | 66 9d | +vme @48000=02000000 | #GP(0)
        v86 | 9d | +vme +iopl @48000=0202 | rsp=8002 rflags=23202 | IOPL 3: IF itself
        v86 | fa | +vme +if +vif | -vif | CLI clears VIF
        v86 | fb | +vme | +vif
        v86 | fb | +vme +vip | #GP(0)
        v86 | fa | +if | #GP(0)
        v86 | fa | +if +iopl +vme | -if
        p32 | fa | cpl=3 +pvi +if +vif | -vif
        p32 | fb | cpl=3 +pvi | +vif
        p32 | fb | cpl=3 +pvi +vip | #GP(0)
        p32 | fa | cpl=2 +pvi +if | #GP(0) | PVI is for CPL 3
        p32 | fa | cpl=3 +vme +if | #GP(0) | VME is for virtual-8086 mode
        v86 | fa | +pvi +if | #GP(0)
        64 | fb | cpl=3 +pvi | +vif
        real | fa | +if | -if
        real | 9d | @48000=ffff | rsp=8002 rflags=7fd7 | real mode: IOPL and IF
        real | 66 9d | @48000=ffffffff | rsp=8004 rflags=247fd7 | and AC, ID; neither VM nor VIF nor VIP
        p32 | 9d | @48000=00001800 +vif | rsp=8004 rflags=80002 | VIF and VIP stay
        p32 | 9d | cpl=3 @48000=02000000 +if | rsp=8004 rflags=202
        p32 | 9d | cpl=1 rflags=1202 @48000=02000000 | rsp=8004 rflags=1002 | CPL 1, IOPL 1: IF is cleared
        p32 | 9d | cpl=1 rflags=1002 @48000=02320000 | rsp=8004 rflags=1202 | IOPL is not
        p32 | 9c | rflags=50246 | rsp=7ffc rflags=40246 @47ffc=46020400 | RF is not stored, and clear afterwards
        p32 | 66 9c | rflags=40246 | rsp=7ffe @47ffe=4602
        64 | 66 9c | f=C | rsp=47ffe @47ffe=0300
        64 | 9d | ss.null @48000=0200000000000000 | rsp=48008 rflags=2
        ",
    );
}
