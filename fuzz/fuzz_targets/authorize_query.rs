#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::web::authorize_query(bytes));
