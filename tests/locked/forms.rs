//! Every lockable form as bytes, with memory at [RBX] and the register operand in RCX (and RDX).

/// What is true of a cell that many threads change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Adds the register: the cell is the sum.
    Adds,
    /// Subtracts it.
    Subtracts,
    /// Adds this, whatever the register.
    Steps(i64),
    /// Adds register and carry, or subtracts them.
    Carries(i64),
    /// Is its own inverse on the register's bits: the cell is what all of them give together.
    Flips,
    /// Inverts all bits: the number of times decides.
    Inverts,
    /// Negates: the number of times decides.
    Negates,
    /// Sets the register's bits, clears those that it has not, or flips one: each thread has bits of its own.
    Sets,
    Clears,
    SetsBit,
    ClearsBit,
    FlipsBit,
    /// Exchanges: nothing is lost, nothing is there twice.
    Exchanges,
    /// CMPXCHG in a loop that adds.
    Compares,
    /// CMPXCHG8B or CMPXCHG16B in a loop that adds.
    ComparesPair,
    /// CMPccXADD with a condition that always holds here: adds RDX.
    ComparesAndAdds,
}

#[derive(Clone, Debug)]
pub struct Form {
    pub name: String,
    pub bytes: Vec<u8>,
    pub width: usize,
    pub law: Law,
}

/// Memory at [RBX], this number in ModRM.reg.
fn modrm(reg: u8) -> u8 {
    reg << 3 | 3
}

/// LOCK, prefixes for the width, REX2 if asked for; the opcode's map is 0F if `wide_map`.
fn encode(lock: bool, rex2: bool, wide_map: bool, opcode: u8, width: usize, tail: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(lock.then_some(0xf0));
    bytes.extend((width == 2).then_some(0x66));
    if rex2 {
        bytes.extend([0xd5, if width == 8 { 8 } else { 0 } | if wide_map { 0x80 } else { 0 }]);
    } else {
        bytes.extend((width == 8).then_some(0x48));
        bytes.extend(wide_map.then_some(0x0f));
    }
    bytes.push(opcode);
    bytes.extend(tail);
    bytes
}

/// All of them, each at every width that it has.
pub fn all() -> Vec<Form> {
    let mut forms = Vec::new();
    let mut add = |name: &str, width: usize, law: Law, bytes: Vec<u8>| {
        forms.push(Form { name: format!("{name} {}", width * 8), bytes, width, law });
    };
    let registers: [(&str, bool, u8, Law); 12] = [
        ("add", false, 0x00, Law::Adds),
        ("or", false, 0x08, Law::Sets),
        ("adc", false, 0x10, Law::Carries(1)),
        ("sbb", false, 0x18, Law::Carries(-1)),
        ("and", false, 0x20, Law::Clears),
        ("sub", false, 0x28, Law::Subtracts),
        ("xor", false, 0x30, Law::Flips),
        ("xchg", false, 0x86, Law::Exchanges),
        ("xadd", true, 0xc0, Law::Adds),
        ("cmpxchg", true, 0xb0, Law::Compares),
        // No byte forms: `opcode | 1` is the opcode.
        ("bts", true, 0xaa, Law::SetsBit),
        ("btr", true, 0xb2, Law::ClearsBit),
    ];
    for width in [1, 2, 4, 8] {
        let big = u8::from(width > 1);
        for (name, map, opcode, law) in registers {
            let bits = matches!(law, Law::SetsBit | Law::ClearsBit);
            if bits && width == 1 {
                continue;
            }
            let opcode = opcode | big;
            let lock = name != "xchg";
            add(name, width, law, encode(lock, false, map, opcode, width, &[modrm(1)]));
            add(&format!("{name} rex2"), width, law, encode(lock, true, map, opcode, width, &[modrm(1)]));
        }
        let digits = [("inc", 0xfe, 0, Law::Steps(1)), ("dec", 0xfe, 1, Law::Steps(-1))];
        let unary = [("not", 0xf6, 2, Law::Inverts), ("neg", 0xf6, 3, Law::Negates)];
        for (name, opcode, digit, law) in digits.into_iter().chain(unary) {
            add(name, width, law, encode(true, false, false, opcode | big, width, &[modrm(digit)]));
            add(&format!("{name} rex2"), width, law, encode(true, true, false, opcode | big, width, &[modrm(digit)]));
        }
        // An immediate byte: 5.
        let steps = [("add imm8", 0, 5), ("sub imm8", 5, -5)];
        for (name, digit, step) in steps {
            let opcode = if width == 1 { 0x80 } else { 0x83 };
            add(name, width, Law::Steps(step), encode(true, false, false, opcode, width, &[modrm(digit), 5]));
        }
        if width == 1 {
            continue;
        }
        add("btc", width, Law::FlipsBit, encode(true, false, true, 0xbb, width, &[modrm(1)]));
        // A full immediate: 0x0105.
        let immediate = [0x05, 0x01, 0, 0];
        let tail = [&[modrm(0)][..], &immediate[..width.min(4)]].concat();
        add("add imm", width, Law::Steps(0x105), encode(true, false, false, 0x81, width, &tail));
    }
    for width in [8, 16] {
        let name = ["cmpxchg8b", "cmpxchg16b"][width / 16];
        let wide = if width == 16 { 8 } else { 4 };
        add(name, width, Law::ComparesPair, encode(true, false, true, 0xc7, wide, &[modrm(1)]));
    }
    for width in [4, 8] {
        let w = if width == 8 { 0x80 } else { 0 };
        // vvvv is RDX, inverted.
        let bytes = vec![0xc4, 0xe2, w | (!2 & 15) << 3 | 1, 0xe1, modrm(1)];
        add("cmpnoxadd", width, Law::ComparesAndAdds, bytes);
        let remote = [("aadd", None, Law::Adds), ("aand", Some(0x66), Law::Clears)];
        let more = [("axor", Some(0xf3), Law::Flips), ("aor", Some(0xf2), Law::Sets)];
        for (name, prefix, law) in remote.into_iter().chain(more) {
            let mut bytes = Vec::new();
            bytes.extend(prefix);
            bytes.extend((width == 8).then_some(0x48));
            bytes.extend([0x0f, 0x38, 0xfc, modrm(1)]);
            add(name, width, law, bytes);
        }
    }
    forms
}
