//! The sandbox: lengths by fetch, outcomes, and no system call.

use encore86_oracle::sandbox::{CASE_LEN, End, Outcome};
use encore86_oracle::{Mode, Sandbox};

fn case(bytes: &[u8]) -> [u8; CASE_LEN] {
    let mut case = [0x90; CASE_LEN];
    case[..bytes.len()].copy_from_slice(bytes);
    case
}

/// Runs the bytes, each in all modes; `None` and a word of it where the system does not allow that.
fn run(sandbox: Sandbox, cases: &[&[u8]]) -> Option<Vec<[Outcome; 3]>> {
    let mut sandbox = sandbox;
    let cases: Vec<_> = cases.iter().map(|bytes| case(bytes)).collect();
    let mut all = Vec::new();
    for mode in [Mode::Long64, Mode::Compat32, Mode::Compat16] {
        match sandbox.run(mode, &cases, || ()) {
            Ok(outcomes) => all.push(outcomes),
            Err(error) => {
                eprintln!("SKIPPED sandbox: {error}");
                return None;
            }
        }
    }
    Some((0..cases.len()).map(|i| [all[0][i], all[1][i], all[2][i]]).collect())
}

fn retired(fetched: u8) -> Outcome {
    Outcome { fetched, end: End::Retired }
}

fn exception(fetched: u8, vector: u8) -> Outcome {
    Outcome { fetched, end: End::Exception { vector, error: 0 } }
}

#[test]
fn lengths_and_exceptions() {
    let Ok(sandbox) = Sandbox::new() else { return };
    let cases: [&[u8]; 7] = [
        &[0x90],                   // nop
        &[0x0f, 0x0b],             // ud2
        &[0xb8, 1, 2, 3, 4],       // mov eax, imm
        &[0x48, 0xb8, 1],          // dec eax / mov rax, imm
        &[0xeb, 0xfe],             // jmp to itself
        &[0xf4],                   // hlt
        &[0x8e, 0xd0, 0x90, 0x90], // mov ss, ax: no trap behind it
    ];
    let Some(got) = run(sandbox, &cases) else { return };
    assert_eq!(got[0], [retired(1); 3]);
    assert_eq!(got[1], [exception(2, 6); 3]);
    assert_eq!(got[2], [retired(5), retired(5), retired(3)]);
    assert_eq!(got[3], [retired(10), retired(1), retired(1)]);
    assert_eq!(got[4], [retired(2); 3]);
    assert_eq!(got[5], [exception(1, 13); 3]);
    assert!(got[6].iter().all(|outcome| outcome.fetched == 2), "{:?}", got[6]);
}

/// Calls with numbers that the child itself may make, and one that would be seen.
#[test]
fn no_system_call_gets_through() {
    let stopped = Outcome { fetched: 2, end: End::SystemCall };
    for number in [libc::SYS_rt_sigreturn, libc::SYS_exit_group, libc::SYS_exit, 1, 119, 252] {
        let Ok(sandbox) = Sandbox::new() else { return };
        let sandbox = sandbox.with_rax(number as u64);
        let Some(got) = run(sandbox, &[&[0x0f, 0x05], &[0xcd, 0x80], &[0x90]]) else { return };
        assert_eq!(got[0][0], stopped, "SYSCALL {number}");
        // In compatibility modes it is an instruction of AMD's; with a 16-bit stack Linux finds no arguments, and fails.
        for outcome in &got[0][1..] {
            assert_ne!(outcome.end, End::Retired, "SYSCALL {number}");
        }
        assert_eq!(got[1], [stopped; 3], "INT 80 {number}");
        assert_eq!(got[2], [retired(1); 3]);
    }
}

/// A child that dies is replaced, and the other cases are not lost.
#[test]
fn a_death_costs_one_case() {
    let Ok(sandbox) = Sandbox::new() else { return };
    // mov rsp, where nothing is: no frame can be laid for the signal only if there is no signal stack, so this lives.
    let Some(got) = run(sandbox, &[&[0x90], &[0x48, 0xbc, 1, 2, 3, 4, 5, 6, 7, 8], &[0x90]]) else { return };
    assert_eq!(got[0], [retired(1); 3]);
    assert_eq!(got[2], [retired(1); 3]);
}
