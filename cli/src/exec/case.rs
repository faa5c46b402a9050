//! A case as a line of input has it: the fields of the protocol, each absent or given.

use crate::fields::{Given, Object, Table};
use crate::model::Wanted;
use crate::number::{Bytes, Number};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One line of input.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Case {
    pub id: Id,
    pub mode: Given<String>,
    pub cpl: Given<Number>,
    pub code: Given<Bytes>,
    pub regs: Table<Number>,
    pub seg: Table<Object<SegmentFields>>,
    pub gdtr: Object<DescriptorTableFields>,
    pub idtr: Object<DescriptorTableFields>,
    pub cr0: Given<Number>,
    pub cr2: Given<Number>,
    pub cr3: Given<Number>,
    pub cr4: Given<Number>,
    pub cr8: Given<Number>,
    pub efer: Given<Number>,
    pub xcr0: Given<Number>,
    pub xss: Given<Number>,
    pub pkru: Given<Number>,
    pub ssp: Given<Number>,
    pub dr0: Given<Number>,
    pub dr1: Given<Number>,
    pub dr2: Given<Number>,
    pub dr3: Given<Number>,
    pub dr6: Given<Number>,
    pub dr7: Given<Number>,
    pub msr: Table<Number>,
    pub zmm: Table<Bytes>,
    pub k: Table<Number>,
    pub mxcsr: Given<Number>,
    pub x87: Object<X87Fields>,
    pub tmm: Table<Bytes>,
    pub tilecfg: Given<Bytes>,
    pub mem: Vec<Object<RamFields>>,
    pub mmio: Vec<Object<DeviceFields>>,
    pub max_retries: Given<Number>,
    pub io: Table<Number>,
    pub profile: Given<Wanted>,
    pub max_steps: Given<Number>,
    pub until: Given<Number>,
    pub deliver: bool,
    pub event: Given<Object<EventFields>>,
    pub blocking: Vec<String>,
    pub split_lock: Given<String>,
    pub introspect: Object<IntrospectFields>,
    pub seed: Given<Number>,
    pub fetches: bool,
    pub full: bool,
}

/// A segment register.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentFields {
    pub sel: Given<Number>,
    pub base: Given<Number>,
    pub limit: Given<Number>,
    pub attr: Given<Number>,
}

/// GDTR or IDTR.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DescriptorTableFields {
    pub base: Given<Number>,
    pub limit: Given<Number>,
}

/// The x87 state, registers in ST order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct X87Fields {
    pub fcw: Given<Number>,
    pub fsw: Given<Number>,
    pub ftw: Given<Number>,
    pub fop: Given<Number>,
    pub fip: Given<Number>,
    pub fdp: Given<Number>,
    pub st: Given<Vec<Bytes>>,
}

/// A region of RAM.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RamFields {
    pub at: Given<Number>,
    pub hex: Given<Bytes>,
    pub zero: Given<Number>,
}

/// A region of device memory.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceFields {
    pub at: Given<Number>,
    pub hex: Given<Bytes>,
    pub zero: Given<Number>,
    pub retry: Given<Number>,
}

/// An event to deliver before the first instruction.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFields {
    #[serde(rename = "type")]
    pub kind: Given<String>,
    pub vector: Given<Number>,
    pub error_code: Option<Number>,
}

/// Adaptors around memory.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntrospectFields {
    pub discard_writes: bool,
    pub overlay: Vec<Object<OverlayFields>>,
    pub insn: Given<Bytes>,
}

/// Bytes that data reads see.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverlayFields {
    pub at: Given<Number>,
    pub hex: Given<Bytes>,
}

/// What the result is to be known by: text, or a whole number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Id(serde_json::Value);

impl Default for Id {
    fn default() -> Id {
        Id("".into())
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        struct Echo;
        impl Visitor<'_> for Echo {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string to know the result by")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id(text.into()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number.into()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
                Ok(Id(number.into()))
            }
        }
        deserializer.deserialize_any(Echo)
    }
}

/// Reads a line.
///
/// # Errors
/// The id, as far as the line is an object that has one, and a sentence that says where the fault lies and what is
/// wanted.
pub fn parse(line: &str) -> Result<Case, (Id, String)> {
    if line.trim().is_empty() {
        return Err((Id::default(), "the line is empty: write one JSON object a line".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_str(line);
    let case: Result<Object<Case>, _> = serde_path_to_error::deserialize(&mut json);
    let case = match case {
        Ok(case) => json.end().map(|()| case.0).map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    case.map_err(|why| (id_of(line), why))
}

/// The id of a line whose other fields are wrong.
fn id_of(line: &str) -> Id {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Named {
        id: Id,
    }
    serde_json::from_str::<Object<Named>>(line).map_or_else(|_| Id::default(), |named| named.0.id)
}
