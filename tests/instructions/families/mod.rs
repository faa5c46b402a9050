//! SSE, AVX and AVX-512 by family: a text file each, to be read from top to bottom. What must come out is worked out by hand.

macro_rules! families {
    ($( $name:ident )*) => {
        $(
            #[test]
            fn $name() {
                crate::table::run_family(stringify!($name), include_str!(concat!(stringify!($name), ".txt")));
            }
        )*

        /// No file is left out.
        #[test]
        fn every_file_is_run() {
            let names = [$( concat!(stringify!($name), ".txt") ),*];
            let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions/families");
            let files = std::fs::read_dir(&here).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let stray: Vec<String> =
                files.filter(|file| file.ends_with(".txt") && !names.contains(&file.as_str())).collect();
            assert!(stray.is_empty(), "{stray:?}");
        }
    };
}

families! {
    mmx sse sse2 sse3 ssse3 sse4_1 sse4_2 sse4a crypto avx avx2 f16c fma
    avx512f avx512vl avx512bw avx512dq avx512_others opmask
}
