//! `kvm_vcpu_events`: what blocks, what waits, and what is to be delivered.

use crate::cpu::Blocking;
use crate::event::Event;
use kvm_bindings::{
    KVM_VCPUEVENT_VALID_PAYLOAD, KVM_VCPUEVENT_VALID_SHADOW, KVM_X86_SHADOW_INT_MOV_SS, KVM_X86_SHADOW_INT_STI,
    kvm_vcpu_events,
};

const UD: u8 = 6;

/// What keeps events away.
pub(super) fn blocking(events: &kvm_vcpu_events) -> Blocking {
    let shadow = u32::from(events.interrupt.shadow);
    Blocking {
        mov_ss: shadow & KVM_X86_SHADOW_INT_MOV_SS != 0,
        sti: shadow & KVM_X86_SHADOW_INT_STI != 0,
        nmi: events.nmi.masked != 0,
    }
}

/// The same, the other way.
pub(super) fn set_blocking(events: &mut kvm_vcpu_events, blocking: Blocking) {
    let mov_ss = if blocking.mov_ss { KVM_X86_SHADOW_INT_MOV_SS } else { 0 };
    let sti = if blocking.sti { KVM_X86_SHADOW_INT_STI } else { 0 };
    events.interrupt.shadow = (mov_ss | sti) as u8;
    events.nmi.masked = blocking.nmi.into();
    events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
}

/// The vector of an event that the next entry delivers before the instruction at RIP could run.
pub(super) fn waiting(events: &kvm_vcpu_events) -> Option<u8> {
    if events.exception.injected != 0 || events.exception.pending != 0 {
        return Some(events.exception.nr);
    }
    if events.nmi.injected != 0 {
        return Some(2);
    }
    (events.interrupt.injected != 0).then_some(events.interrupt.nr)
}

/// Takes back the #UD that the kernel queued because it could not emulate the instruction. An exception that was there before
/// would have been delivered first. Gives false if there is none.
pub(super) fn retract_ud(events: &mut kvm_vcpu_events) -> bool {
    let exception = &mut events.exception;
    if exception.nr != UD || exception.injected | exception.pending == 0 {
        return false;
    }
    (exception.injected, exception.pending, exception.nr) = (0, 0, 0);
    true
}

/// Has the next entry deliver `event`. `payload` (CR2 or bits of DR6) goes along where the virtual machine has that, as
/// `with_payload` says.
pub(super) fn inject(events: &mut kvm_vcpu_events, event: &Event, payload: Option<u64>, with_payload: bool) {
    let exception = &mut events.exception;
    exception.nr = event.vector;
    exception.has_error_code = event.error_code.is_some().into();
    exception.error_code = event.error_code.unwrap_or(0);
    (exception.pending, exception.injected) = if with_payload { (1, 0) } else { (0, 1) };
    let carried = payload.filter(|_| with_payload);
    events.exception_has_payload = carried.is_some().into();
    events.exception_payload = carried.unwrap_or(0);
    if with_payload {
        events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
    } else {
        events.flags &= !KVM_VCPUEVENT_VALID_PAYLOAD;
    }
}

/// Leaves to the kernel what other threads may change meanwhile: a pending NMI, SIPI, SMM, triple fault.
pub(super) fn only_ours(events: &mut kvm_vcpu_events) {
    events.flags &= KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_PAYLOAD;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shadow_is_read_and_written() {
        let mut events = kvm_vcpu_events::default();
        events.interrupt.shadow = 2;
        events.nmi.masked = 1;
        assert_eq!(blocking(&events), Blocking { mov_ss: false, sti: true, nmi: true });
        set_blocking(&mut events, Blocking { mov_ss: true, sti: false, nmi: false });
        assert_eq!((events.interrupt.shadow, events.nmi.masked, events.flags), (1, 0, 4));
    }

    #[test]
    fn injected_events_come_first_and_pending_interrupts_do_not() {
        let mut events = kvm_vcpu_events::default();
        events.nmi.pending = 1;
        assert_eq!(waiting(&events), None, "it comes at the next boundary");
        events.interrupt.injected = 1;
        events.interrupt.nr = 0x30;
        assert_eq!(waiting(&events), Some(0x30));
        events.exception.pending = 1;
        events.exception.nr = 14;
        assert_eq!(waiting(&events), Some(14));
        assert!(!retract_ud(&mut events), "a #PF is not the kernel's refusal");
        events.exception.nr = 6;
        assert!(retract_ud(&mut events));
        assert_eq!(events.exception.pending, 0);
    }

    #[test]
    fn an_exception_has_its_code_and_its_payload() {
        let fault = Event::pf(6, 0x1234, "test");
        let mut events = kvm_vcpu_events::default();
        inject(&mut events, &fault, fault.cr2, true);
        let e = events.exception;
        assert_eq!((e.nr, e.has_error_code, e.error_code, e.pending, e.injected), (14, 1, 6, 1, 0));
        assert_eq!((events.exception_has_payload, events.exception_payload, events.flags), (1, 0x1234, 16));
        inject(&mut events, &Event::ud("test"), None, false);
        let e = events.exception;
        assert_eq!((e.nr, e.has_error_code, e.error_code, e.pending, e.injected), (6, 0, 0, 0, 1));
        assert_eq!((events.exception_has_payload, events.flags), (0, 0));
    }
}
