//! Rows that the host cannot run natively in a process, or runs with other answers than a virtual processor's.

use encore86::isa::row::{Exec, FarOp, PrivOp, Row, StrOp, SysOp};

const REASONS: &[(Exec, &str)] = &[
    (Exec::System(SysOp::In), "ports: a process has no I/O permission bitmap"),
    (Exec::System(SysOp::Out), "ports: a process has no I/O permission bitmap"),
    (Exec::Str(StrOp::Ins), "ports: a process has no I/O permission bitmap"),
    (Exec::Str(StrOp::Outs), "ports: a process has no I/O permission bitmap"),
    (Exec::System(SysOp::Cpuid), "the answers are the profile's (compared by leaves in `cpuid_leaves`)"),
    (Exec::System(SysOp::Rdtsc), "time goes on between the runs"),
    (Exec::System(SysOp::Rdtscp), "time goes on between the runs"),
    (Exec::Privileged(PrivOp::StoreTable), "Linux answers for the processor where UMIP is on"),
    (Exec::Privileged(PrivOp::StoreSelector), "Linux answers for the processor where UMIP is on"),
    (Exec::Privileged(PrivOp::Smsw), "Linux answers for the processor where UMIP is on"),
    (Exec::Privileged(PrivOp::Rdpkru), "PKRU is the process's"),
    (Exec::Privileged(PrivOp::Wrpkru), "PKRU is the process's"),
    (Exec::System(SysOp::Rdpid), "the process can move to another processor between the runs"),
    (Exec::System(SysOp::Random), "random numbers"),
    (Exec::Far(FarOp::Syscall), "a system call"),
    (Exec::Far(FarOp::Sysenter), "a system call"),
    (Exec::Missing, "decoded, not executed yet"),
];

/// Why the row is not compared, if it is not.
pub fn reason(row: &Row) -> Option<&'static str> {
    if row.mnemonic == "int" {
        return Some("INT n: the IDT's privilege decides at CPL 3, and vector 80h is a system call");
    }
    if row.mnemonic == "int1" {
        return Some("INT1: its #DB cannot be told from the single step that ends a run");
    }
    REASONS.iter().find(|(exec, _)| *exec == row.exec).map(|(_, reason)| *reason)
}
