#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    encore86_fuzz::text_and_accesses_do_not_panic(data);
});
