#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    encore86_fuzz::decode_does_not_panic(data);
});
