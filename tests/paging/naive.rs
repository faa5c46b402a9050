//! A page walker written down from the tables and sentences of SDM volume 3, the chapter on paging, one function a paging mode: no
//! TLB, no shared steps, nothing precomputed. The library's is compared with it.

use super::memory::Memory;

/// The processor's model.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    pub maxphyaddr: u32,
    pub pse36: bool,
    pub pat: bool,
    pub gigabyte_pages: bool,
    pub amd: bool,
}

/// Its registers.
#[derive(Clone, Copy, Debug)]
pub struct State {
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
    pub pkru: u32,
    pub pkrs: u32,
    pub ac: bool,
}

impl State {
    fn pg(&self) -> bool {
        self.cr0 >> 31 & 1 != 0
    }
    fn wp(&self) -> bool {
        self.cr0 >> 16 & 1 != 0
    }
    fn pse(&self) -> bool {
        self.cr4 >> 4 & 1 != 0
    }
    fn pae(&self) -> bool {
        self.cr4 >> 5 & 1 != 0
    }
    fn la57(&self) -> bool {
        self.cr4 >> 12 & 1 != 0
    }
    fn smep(&self) -> bool {
        self.cr4 >> 20 & 1 != 0
    }
    fn smap(&self) -> bool {
        self.cr4 >> 21 & 1 != 0
    }
    fn pke(&self) -> bool {
        self.cr4 >> 22 & 1 != 0
    }
    fn pks(&self) -> bool {
        self.cr4 >> 24 & 1 != 0
    }
    fn lma(&self) -> bool {
        self.efer >> 10 & 1 != 0
    }
    fn nxe(&self) -> bool {
        self.efer >> 11 & 1 != 0
    }
}

/// One access.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub linear: u64,
    pub write: bool,
    pub fetch: bool,
    /// A user-mode access: CPL 3 and not implicit.
    pub user: bool,
    /// An explicit supervisor-mode access: RFLAGS.AC counts.
    pub explicit: bool,
    pub shadow_stack: bool,
    /// A and D bits are set.
    pub mark: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Physical(u64),
    PageFault(u32),
    GeneralProtection,
}

/// Bits `high` to `low` of an entry, numbered as the manual's tables do.
fn field(value: u64, high: u32, low: u32) -> u64 {
    if high < low {
        return 0;
    }
    let mut out = 0;
    for bit in low..=high {
        if value >> bit & 1 == 1 {
            out |= 1 << (bit - low);
        }
    }
    out
}

fn bit(value: u64, n: u32) -> bool {
    value >> n & 1 == 1
}

/// Entries used so far: address and value, first table first.
type Used = Vec<(u64, u64)>;

/// "Page-Fault Exceptions", without P, RSVD and PK.
fn access_bits(state: &State, ask: &Ask) -> u32 {
    let mut code = 0;
    if ask.write {
        code += 2;
    }
    if ask.user {
        code += 4;
    }
    if ask.fetch && (state.smep() || state.pae() && state.nxe()) {
        code += 16;
    }
    if ask.shadow_stack {
        code += 64;
    }
    code
}

fn not_present(state: &State, ask: &Ask) -> Answer {
    Answer::PageFault(access_bits(state, ask))
}

fn reserved(state: &State, ask: &Ask) -> Answer {
    Answer::PageFault(access_bits(state, ask) + 1 + 8)
}

/// Translates one access; sets A and D in `memory`.
pub fn translate(memory: &Memory, model: &Model, state: &State, ask: &Ask) -> Answer {
    if !state.pg() {
        return Answer::Physical(ask.linear);
    }
    if state.lma() {
        return translate_long(memory, model, state, ask);
    }
    if state.pae() {
        return translate_pae(memory, model, state, ask);
    }
    translate_32(memory, model, state, ask)
}

/// "32-Bit Paging" and its tables.
fn translate_32(memory: &Memory, model: &Model, state: &State, ask: &Ask) -> Answer {
    let linear = ask.linear;
    let pde_at = field(state.cr3, 31, 12) << 12 | field(linear, 31, 22) << 2;
    let pde = memory.get32(pde_at);
    if !bit(pde, 0) {
        return not_present(state, ask);
    }
    if state.pse() && bit(pde, 7) {
        if bit(pde, 12) && !model.pat {
            return reserved(state, ask);
        }
        let m = model.maxphyaddr.min(40);
        let physical = if model.pse36 {
            // 20:13 are 39:32 of the address as far as there are any, and bit 21 is reserved always.
            if bit(pde, 21) || field(pde, 20, m - 19) != 0 {
                return reserved(state, ask);
            }
            field(pde, 31, 22) << 22 | field(pde, 20, 13) << 32 | field(linear, 21, 0)
        } else {
            if field(pde, 21, 13) != 0 {
                return reserved(state, ask);
            }
            field(pde, 31, 22) << 22 | field(linear, 21, 0)
        };
        return finish(memory, state, ask, &[(pde_at, pde)], 4, physical);
    }
    let pte_at = field(pde, 31, 12) << 12 | field(linear, 21, 12) << 2;
    let pte = memory.get32(pte_at);
    if !bit(pte, 0) {
        return not_present(state, ask);
    }
    if bit(pte, 7) && !model.pat {
        return reserved(state, ask);
    }
    let physical = field(pte, 31, 12) << 12 | field(linear, 11, 0);
    finish(memory, state, ask, &[(pde_at, pde), (pte_at, pte)], 4, physical)
}

/// Would MOV to CR3 take these PDPTEs? The table of PDPTEs.
pub fn pdptes_are_good(memory: &Memory, model: &Model, state: &State) -> bool {
    (0..4).all(|i| {
        let pdpte = memory.get64((field(state.cr3, 31, 5) << 5) + 8 * i);
        let rest = field(pdpte, 2, 1) + field(pdpte, 8, 5) + field(pdpte, 63, model.maxphyaddr);
        !bit(pdpte, 0) || rest == 0
    })
}

/// "PAE Paging" and its tables. The PDPTEs in memory are those of the registers.
fn translate_pae(memory: &Memory, model: &Model, state: &State, ask: &Ask) -> Answer {
    let linear = ask.linear;
    let m = model.maxphyaddr;
    let pdpte = memory.get64((field(state.cr3, 31, 5) << 5) + field(linear, 31, 30) * 8);
    if !bit(pdpte, 0) {
        return not_present(state, ask);
    }
    let no_xd = |entry: u64| bit(entry, 63) && !state.nxe();
    let pde_at = field(pdpte, m - 1, 12) << 12 | field(linear, 29, 21) << 3;
    let pde = memory.get64(pde_at);
    if !bit(pde, 0) {
        return not_present(state, ask);
    }
    if no_xd(pde) || field(pde, 62, m) != 0 {
        return reserved(state, ask);
    }
    if bit(pde, 7) {
        if field(pde, 20, 13) != 0 || bit(pde, 12) && !model.pat {
            return reserved(state, ask);
        }
        let physical = field(pde, m - 1, 21) << 21 | field(linear, 20, 0);
        return finish(memory, state, ask, &[(pde_at, pde)], 8, physical);
    }
    let pte_at = field(pde, m - 1, 12) << 12 | field(linear, 20, 12) << 3;
    let pte = memory.get64(pte_at);
    if !bit(pte, 0) {
        return not_present(state, ask);
    }
    if no_xd(pte) || field(pte, 62, m) != 0 || bit(pte, 7) && !model.pat {
        return reserved(state, ask);
    }
    let physical = field(pte, m - 1, 12) << 12 | field(linear, 11, 0);
    finish(memory, state, ask, &[(pde_at, pde), (pte_at, pte)], 8, physical)
}

/// "4-Level Paging and 5-Level Paging" and its tables.
fn translate_long(memory: &Memory, model: &Model, state: &State, ask: &Ask) -> Answer {
    let linear = ask.linear;
    let m = model.maxphyaddr;
    let sign = if state.la57() { field(linear, 63, 56) } else { field(linear, 63, 47) };
    if sign != 0 && sign != if state.la57() { 0xff } else { 0x1ffff } {
        return Answer::GeneralProtection;
    }
    let every = |entry: u64| field(entry, 51, m) != 0 || bit(entry, 63) && !state.nxe();
    let mut used = Used::new();
    let mut table = field(state.cr3, m - 1, 12) << 12;

    if state.la57() {
        let at = table | field(linear, 56, 48) << 3;
        let pml5e = memory.get64(at);
        if !bit(pml5e, 0) {
            return not_present(state, ask);
        }
        if every(pml5e) || bit(pml5e, 7) || model.amd && bit(pml5e, 8) {
            return reserved(state, ask);
        }
        used.push((at, pml5e));
        table = field(pml5e, m - 1, 12) << 12;
    }

    let at = table | field(linear, 47, 39) << 3;
    let pml4e = memory.get64(at);
    if !bit(pml4e, 0) {
        return not_present(state, ask);
    }
    if every(pml4e) || bit(pml4e, 7) || model.amd && bit(pml4e, 8) {
        return reserved(state, ask);
    }
    used.push((at, pml4e));

    let at = field(pml4e, m - 1, 12) << 12 | field(linear, 38, 30) << 3;
    let pdpte = memory.get64(at);
    if !bit(pdpte, 0) {
        return not_present(state, ask);
    }
    used.push((at, pdpte));
    if bit(pdpte, 7) {
        if every(pdpte) || !model.gigabyte_pages || field(pdpte, 29, 13) != 0 || bit(pdpte, 12) && !model.pat {
            return reserved(state, ask);
        }
        let physical = field(pdpte, m - 1, 30) << 30 | field(linear, 29, 0);
        return finish(memory, state, ask, &used, 8, physical);
    }
    if every(pdpte) || model.amd && bit(pdpte, 8) {
        return reserved(state, ask);
    }

    let at = field(pdpte, m - 1, 12) << 12 | field(linear, 29, 21) << 3;
    let pde = memory.get64(at);
    if !bit(pde, 0) {
        return not_present(state, ask);
    }
    if every(pde) {
        return reserved(state, ask);
    }
    used.push((at, pde));
    if bit(pde, 7) {
        if field(pde, 20, 13) != 0 || bit(pde, 12) && !model.pat {
            return reserved(state, ask);
        }
        let physical = field(pde, m - 1, 21) << 21 | field(linear, 20, 0);
        return finish(memory, state, ask, &used, 8, physical);
    }

    let at = field(pde, m - 1, 12) << 12 | field(linear, 20, 12) << 3;
    let pte = memory.get64(at);
    if !bit(pte, 0) {
        return not_present(state, ask);
    }
    if every(pte) || bit(pte, 7) && !model.pat {
        return reserved(state, ask);
    }
    used.push((at, pte));
    let physical = field(pte, m - 1, 12) << 12 | field(linear, 11, 0);
    finish(memory, state, ask, &used, 8, physical)
}

/// "Access Rights", "Protection Keys", "Accessed and Dirty Flags". The last entry of `used` maps the page.
fn finish(memory: &Memory, state: &State, ask: &Ask, used: &[(u64, u64)], width: u32, physical: u64) -> Answer {
    let (&(leaf_at, leaf), above) = used.split_last().unwrap();
    let writable = used.iter().all(|(_, e)| bit(*e, 1));
    let user_page = used.iter().all(|(_, e)| bit(*e, 2));
    let executable = !(width == 8 && state.nxe() && used.iter().any(|(_, e)| bit(*e, 63)));
    let shadow_page = above.iter().all(|(_, e)| bit(*e, 1)) && !bit(leaf, 1) && bit(leaf, 6);

    let page_allows = if ask.shadow_stack {
        shadow_page && user_page == ask.user
    } else if ask.user {
        match (ask.fetch, ask.write) {
            (true, _) => user_page && executable,
            (false, true) => user_page && writable,
            (false, false) => user_page,
        }
    } else if ask.fetch {
        executable && !(user_page && state.smep())
    } else {
        let smap_allows = !user_page || !state.smap() || ask.explicit && state.ac;
        smap_allows && (!ask.write || writable || !state.wp())
    };

    let mut key_allows = true;
    if state.lma() && !ask.fetch {
        let key = field(leaf, 62, 59);
        let register = match user_page {
            true if state.pke() => Some(state.pkru),
            false if state.pks() => Some(state.pkrs),
            _ => None,
        };
        if let Some(register) = register {
            let ad = register >> (2 * key) & 1 == 1;
            let wd = register >> (2 * key + 1) & 1 == 1;
            let wd_counts = if user_page { ask.user || state.wp() } else { state.wp() };
            key_allows = !(ad || wd && ask.write && wd_counts);
        }
    }

    if !page_allows || !key_allows {
        let key = if key_allows { 0 } else { 32 };
        return Answer::PageFault(access_bits(state, ask) + 1 + key);
    }
    if ask.mark {
        for &(at, entry) in above {
            memory.set(at, entry | 0x20, width);
        }
        // An entry may lead to itself: it is read again.
        let entry = if width == 4 { memory.get32(leaf_at) } else { memory.get64(leaf_at) };
        memory.set(leaf_at, entry | 0x20 | if ask.write { 0x40 } else { 0 }, width);
    }
    Answer::Physical(physical)
}
